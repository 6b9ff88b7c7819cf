"""Recurrent networks against torch, flax and keras with the same weights: values and all gradients in float64."""

import os
from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import tree
from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells, scanning
from tests import peers
from tests.nn.recurrent.cases import (
    LENGTHS,
    WITH_VJP_RULE,
    B,
    D,
    H,
    T,
    close,
    draw,
    draw_carry,
    inputs,
    scan_with_carry,
    value_and_gradients,
    weigh,
)

os.environ.setdefault("KERAS_BACKEND", "jax")


def torch_network(torch, name, layers, bidirectional, parameters):
    """The same network in torch: its kernels are transposed, and it has two biases where one would do."""
    kind, options = {
        "vanilla": (torch.nn.RNN, {}),
        "vanilla, relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
        "lstm": (torch.nn.LSTM, {}),
        "gru": (torch.nn.GRU, {}),
    }[name]
    network = kind(D, H, layers, bidirectional=bidirectional, batch_first=True, dtype=torch.float64, **options)
    with torch.no_grad():
        for leaf in network.parameters():
            leaf.zero_()
        for path, leaf in tree.flatten(parameters).items():
            getattr(network, torch_name(path)).copy_(torch.tensor(to_torch(path, leaf)))
    return network


def torch_name(path):
    layer, *way, leaf = path.split("/")
    suffix = f"_l{layer.removeprefix('layer')}" + ("_reverse" if way == ["backward"] else "")
    names = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}
    return names[path.split("/")[-1]] + suffix


def to_torch(path, leaf):
    return np.concatenate([np.zeros(2 * H), leaf]) if path.endswith("recurrent_bias") else leaf.T.copy()


def from_torch(path, gradient):
    return gradient[2 * H :] if path.endswith("recurrent_bias") else gradient.T


def torch_states(carries, bidirectional):
    """Order the states as torch does: layer by layer, forward before backward; h, and of an LSTM c."""
    flat = [carry[way] for carry in carries for way in scanning.DIRECTIONS] if bidirectional else list(carries)
    parts = [[state.h for state in flat], [state.c for state in flat]] if hasattr(flat[0], "c") else [flat]
    return [np.stack(part) for part in parts]


def as_list(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("name", "layers", "bidirectional", "packed"),
    [
        ("vanilla", 2, True, True),
        ("vanilla, relu", 1, False, False),
        ("lstm", 2, True, True),
        ("lstm", 3, False, False),
        ("gru", 2, True, True),
        ("gru", 1, False, True),
    ],
)
def test_stacks_are_torchs_in_both_directions_with_packed_sequences_and_states(name, layers, bidirectional, packed):
    torch, cell = peers.torch(), WITH_VJP_RULE[name]
    shapes = jax.eval_shape(
        partial(recurrent.init_stacked, cells=[cell] * layers, input_size=D, bidirectional=bidirectional),
        jax.random.key(0),
    )
    rng = np.random.default_rng(0)
    parameters, x = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes), inputs()
    one = jax.eval_shape(lambda: cell.init_carry((B,)))
    first = [dict.fromkeys(scanning.DIRECTIONS, one) if bidirectional else one for _ in range(layers)]
    first = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), first)
    run = partial(
        recurrent.stacked_scan, [cell] * layers, bidirectional=bidirectional, lengths=LENGTHS if packed else None
    )

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
    def ours(parameters, x, first):
        carries, y = run(parameters, x, first)
        return jnp.sum(jnp.sin(y) * cotangent) + sum(map(jnp.sum, jax.tree.leaves(carries))), (carries, y)

    cotangent = rng.normal(size=(B, T, H * (1 + bidirectional)))
    (_, (carries, y)), (d_parameters, d_x, d_first) = ours(parameters, x, first)

    network = torch_network(torch, name, layers, bidirectional, parameters)
    peer_x = torch.tensor(x, requires_grad=True)
    peer_first = [torch.tensor(state, requires_grad=True) for state in torch_states(first, bidirectional)]
    pack = partial(torch.nn.utils.rnn.pack_padded_sequence, lengths=LENGTHS, batch_first=True, enforce_sorted=False)
    state = tuple(peer_first) if len(peer_first) > 1 else peer_first[0]
    peer_y, last = network(pack(peer_x) if packed else peer_x, state)
    if packed:
        peer_y, _ = torch.nn.utils.rnn.pad_packed_sequence(peer_y, batch_first=True)
    loss = torch.sum(torch.sin(peer_y) * torch.tensor(cotangent)) + sum(state.sum() for state in as_list(last))
    loss.backward()

    close(y, peer_y.detach().numpy())
    close(d_x, peer_x.grad.numpy())
    for state, theirs in zip(torch_states(carries, bidirectional), as_list(last), strict=True):
        close(state, theirs.detach().numpy())
    for gradient, theirs in zip(torch_states(d_first, bidirectional), peer_first, strict=True):
        close(gradient, theirs.grad.numpy())
    for path, gradient in tree.flatten(d_parameters).items():
        close(gradient, from_torch(path, getattr(network, torch_name(path)).grad.numpy()), err_msg=path)


def flax_parameters(name, parameters):
    """Our parameters in the layout of flax: a dense layer for each gate."""
    gates = {"vanilla": ["i"], "lstm": ["i", "f", "g", "o"], "gru": ["r", "z", "n"]}[name]
    W, U = (jnp.split(parameters[kernel], len(gates), axis=1) for kernel in ("kernel", "recurrent_kernel"))
    bias = jnp.split(parameters["bias"], len(gates))
    if name == "vanilla":
        return {"i": {"kernel": W[0], "bias": bias[0]}, "h": {"kernel": U[0]}}
    own = "h" if name == "lstm" else "i"  # the side of the sum on which flax keeps the bias
    dense = {f"i{gate}": {"kernel": W[k]} for k, gate in enumerate(gates)}
    dense |= {f"h{gate}": {"kernel": U[k]} for k, gate in enumerate(gates)}
    for k, gate in enumerate(gates):
        dense[f"{own}{gate}"]["bias"] = bias[k]
    if name == "gru":
        dense["hn"]["bias"] = parameters["recurrent_bias"]
    return dense


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_values_and_gradients_are_those_of_the_flax_cells(name):
    kind = {"vanilla": flax.linen.SimpleCell, "lstm": flax.linen.OptimizedLSTMCell, "gru": flax.linen.GRUCell}[name]
    peer = flax.linen.RNN(kind(H, param_dtype=jnp.float64), return_carry=True)
    parameters, x = draw(WITH_VJP_RULE[name]), inputs()

    def theirs(parameters, x, carry):
        layers = {"params": {"cell": flax_parameters(name, parameters)}}
        return peer.apply(layers, x, initial_carry=tuple(carry) if name == "lstm" else carry)

    carry = draw_carry(WITH_VJP_RULE[name])
    (_, (last, y)), gradients = value_and_gradients(partial(scan_with_carry, WITH_VJP_RULE[name]))(parameters, x, carry)
    (_, (peer_last, peer_y)), peer_gradients = value_and_gradients(theirs)(parameters, x, carry)
    close(y, peer_y)
    for ours, theirs_leaf in zip(
        jax.tree.leaves((last, gradients)), jax.tree.leaves((peer_last, peer_gradients)), strict=True
    ):
        close(ours, theirs_leaf)


KERAS = {
    "lstm": ("LSTM", {}, "ifgo"),
    "gru": ("GRU", {"reset_after": True}, "zrn"),
    "gru, write": ("GRU", {"reset_after": True}, "zrn"),
    "gru, reset before": ("GRU", {"reset_after": False}, "zrn"),
    "gru, reset before, write": ("GRU", {"reset_after": False}, "zrn"),
}
"""The layer, its options, and its gates in order, by our letters."""


def keras_variables(name, cell, parameters, order):
    """Our parameters in the layout of keras: other places of the gates; and what we write, it retains."""

    def place(leaf):
        gates = dict(zip(cell.gates, np.split(np.asarray(leaf), len(cell.gates), axis=-1), strict=True))
        if name.endswith("write"):
            gates["z"] = -gates["z"]  # 1 - s(a) = s(-a)
        return np.concatenate([gates[gate] for gate in order], axis=-1)

    W, U, b = (place(parameters[leaf]) for leaf in ("kernel", "recurrent_kernel", "bias"))
    if "recurrent_bias" in parameters:  # keras has one for every gate
        b = np.stack([b, np.concatenate([np.zeros(2 * H), parameters["recurrent_bias"]])])
    return [W, U, b]


near = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KERAS)
def test_values_and_gradients_are_those_of_the_keras_layers(name):
    keras = pytest.importorskip("keras", reason="parity with keras")
    if keras.backend.backend() != "jax":
        pytest.skip("keras runs on another backend here")
    kind, options, order = KERAS[name]
    cell = WITH_VJP_RULE[name] if name in WITH_VJP_RULE else cells.GRU(H, reset="before", update="write")
    # In float32, since keras computes some of its sums in float32 whatever it is given.
    parameters, x, carry = jax.tree.map(np.float32, (draw(cell), inputs(), draw_carry(cell)))
    layer = getattr(keras.layers, kind)(H, return_sequences=True, return_state=True, **options)
    with jax.numpy_rank_promotion("allow"):  # inside of keras
        layer.build(x.shape)
    first = [carry.h, carry.c] if name == "lstm" else [carry]
    others = [variable.value for variable in layer.non_trainable_variables]  # the seed of its dropout

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
    def theirs(variables, x, first):
        (y, *last), _ = layer.stateless_call(variables, others, x, initial_state=first)
        last = cells.LSTMState(last[1], last[0]) if name == "lstm" else last[0]
        return weigh(last, y), (last, y)

    variables = keras_variables(name, cell, parameters, order)
    assert [tuple(variable.shape) for variable in layer.weights] == [leaf.shape for leaf in variables]
    (_, outputs), (d_parameters, d_x, d_first) = value_and_gradients(partial(scan_with_carry, cell))(
        parameters, x, carry
    )
    with jax.numpy_rank_promotion("allow"):
        (_, peer_outputs), (d_variables, peer_d_x, peer_d_first) = theirs(variables, x, first)
    jax.tree.map(near, outputs, peer_outputs)
    near(d_x, peer_d_x)
    jax.tree.map(near, [d_first.h, d_first.c] if name == "lstm" else [d_first], peer_d_first)
    # Where a gate lies changes, and a sign, so a gradient in the other layout is the other's gradient.
    W, U, b = map(np.array, d_variables)
    if b.ndim > 1:
        b[1, : 2 * H] = 0  # of the recurrent biases that we do without
    jax.tree.map(near, keras_variables(name, cell, d_parameters, order), [W, U, b])
