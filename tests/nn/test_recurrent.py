"""The scan over time against torch, against flax and against a plain loop: values and all gradients in float64."""

from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import tree
from jaxdl.nn import cells, recurrent

B, T, D, H = 3, 5, 2, 4
LENGTHS = np.array([5, 2, 4])
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]])
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)

OWN = {
    "vanilla": cells.Vanilla(H),
    "vanilla, sigmoid": cells.Vanilla(H, "sigmoid"),
    "vanilla, relu": cells.Vanilla(H, "relu"),
    "lstm": cells.LSTM(H),
    "lstm, sigmoid": cells.LSTM(H, "sigmoid"),
    "gru": cells.GRU(H),
    "gru, write": cells.GRU(H, update="write"),
    "gru, reset before": cells.GRU(H, reset="before"),
    "gru, lecture-note form": cells.GRU(H, "sigmoid", "before", "write"),
}


def draw(cell, in_features=D, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, (_, shape) in cell.shapes(in_features).items()}


def draw_carry(cell, batch_shape=(B,)):
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), cell.initial_carry(batch_shape))


def inputs(seed=1):
    return np.random.default_rng(seed).normal(size=(B, T, D))


def weigh(carry, y):
    """A loss that reads every output and every number of the last state."""
    leaves = [*jax.tree.leaves(carry), y]
    return sum(jnp.sum(jnp.sin(leaf) * (1 + jnp.arange(leaf.size).reshape(leaf.shape) % 7)) for leaf in leaves)


def plain_loop(cell, parameters, x, carry, mask=None, reverse=False):
    """The definition: one step after the other, each example for itself."""
    outputs = [None] * x.shape[1]
    for t in reversed(range(x.shape[1])) if reverse else range(x.shape[1]):
        new, y = cell(parameters, carry, x[:, t])
        keep = jnp.ones((x.shape[0], 1), bool) if mask is None else mask[:, t, None] != 0
        outputs[t] = jnp.where(keep, y, 0)
        carry = jax.tree.map(lambda a, b, keep=keep: jnp.where(keep, a, b), new, carry)
    return carry, jnp.stack(outputs, axis=1)


def value_and_gradients(run):
    """Compile ``run(parameters, x, carry) -> (carry, y)`` with the gradients with respect to all three."""

    def loss(parameters, x, carry):
        carry, y = run(parameters, x, carry)
        return weigh(carry, y), (carry, y)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))


def scan_with_carry(cell, parameters, x, carry, **options):
    return recurrent.scan(cell, parameters, x, carry, **options)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_scan_is_the_plain_loop(name):
    cell, reverse = OWN[name], name == "gru"
    arrays = draw(cell), inputs()[:, :3], draw_carry(cell)
    ours = value_and_gradients(lambda p, x, c: recurrent.scan(cell, p, x, c, mask=MASK[:, :3], reverse=reverse))
    loop = value_and_gradients(lambda p, x, c: plain_loop(cell, p, x, c, MASK[:, :3], reverse))
    jax.tree.map(close, ours(*arrays), loop(*arrays))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", OWN)
def test_the_gradient_of_our_own_is_the_automatic_one(name):
    cell, reverse = OWN[name], name in ("vanilla", "lstm, sigmoid", "gru")
    arrays = draw(cell), inputs(), draw_carry(cell)
    ours, automatic = (
        value_and_gradients(
            lambda p, x, c, own=own: recurrent.scan(cell, p, x, c, mask=MASK, reverse=reverse, own_gradient=own)
        )(*arrays)
        for own in (True, False)
    )
    jax.tree.map(close, ours, automatic)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_segments_change_nothing(name):
    cell = OWN[name]
    arrays = draw(cell), inputs(), draw_carry(cell)
    expected, ours = (
        value_and_gradients(lambda p, x, c, segments=segments: recurrent.scan(cell, p, x, c, segments=segments))(
            *arrays
        )
        for segments in (1, 2)
    )
    jax.tree.map(close, ours, expected)


@pytest.mark.usefixtures("float64")
def test_truncation_cuts_the_gradient_between_pieces_and_no_value():
    cell = cells.GRU(H)
    arrays = draw(cell), inputs(), draw_carry(cell)

    def by_hand(parameters, x, carry):
        outputs = []
        for piece in (x[:, :2], x[:, 2:4], x[:, 4:]):
            carry, y = recurrent.scan(cell, parameters, piece, jax.lax.stop_gradient(carry))
            outputs.append(y)
        return carry, jnp.concatenate(outputs, axis=1)

    full, ours, both, expected = (
        value_and_gradients(run)(*arrays)
        for run in (
            partial(scan_with_carry, cell, truncation=T),
            partial(scan_with_carry, cell, truncation=2),
            partial(scan_with_carry, cell, truncation=2, segments=2),
            by_hand,
        )
    )
    jax.tree.map(close, ours, expected)
    jax.tree.map(close, both, expected)
    jax.tree.map(close, full[0], expected[0])
    jax.tree.map(close, full, value_and_gradients(partial(scan_with_carry, cell))(*arrays))
    assert np.abs(full[1][1] - expected[1][1]).max() > 0.01


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("cell", [cells.LSTM(H), cells.Jordan(H, 2)], ids=["own gradient", "automatic"])
def test_padding_changes_no_result_and_no_gradient_whatever_stands_in_it(cell):
    arrays = draw(cell), inputs(), draw_carry(cell)
    run = value_and_gradients(lambda p, x, c: recurrent.bidirectional_scan(cell, p, x, c, lengths=LENGTHS))
    both = {"forward": arrays[0], "backward": draw(cell, seed=5)}, {"forward": arrays[2], "backward": arrays[2]}
    padding = (np.arange(T) >= LENGTHS[:, None])[..., None]
    expected = run(both[0], arrays[1], both[1])
    for rubbish in (1e30, np.nan):
        (_, outputs), gradients = run(both[0], np.where(padding, rubbish, arrays[1]), both[1])
        jax.tree.map(np.testing.assert_array_equal, (outputs, gradients), (expected[0][1], expected[1]))
    assert not np.any(np.where(padding, outputs[1], 0))
    assert not np.any(np.where(padding, gradients[1], 0))


@pytest.mark.usefixtures("float64")
def test_padded_sequences_are_the_short_ones_in_both_directions():
    cell, parameters = cells.GRU(H), draw(cells.GRU(H))
    x = inputs()
    for reverse in (False, True):
        carry, y = jax.jit(partial(recurrent.scan, cell, reverse=reverse))(parameters, x, lengths=LENGTHS)
        for n, length in enumerate(LENGTHS):
            short = x[n : n + 1, :length]
            expected, outputs = plain_loop(cell, parameters, short, np.zeros((1, H)), reverse=reverse)
            close(carry[n], expected[0])
            close(y[n, :length], outputs[0])


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
            getattr(network, torch_name(path)[0]).copy_(to_torch(torch, path, leaf, network))
    return network


def torch_name(path):
    layer, *way, leaf = path.split("/")
    suffix = f"_l{layer.removeprefix('layer')}" + ("_reverse" if way == ["backward"] else "")
    peers = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}
    return peers[leaf] + suffix, leaf


def to_torch(torch, path, leaf, network):
    if path.endswith("recurrent_bias"):
        return torch.tensor(np.concatenate([np.zeros(2 * H), leaf]))
    return torch.tensor(leaf.T.copy())


def from_torch(path, network):
    gradient = getattr(network, torch_name(path)[0]).grad.numpy()
    return gradient[2 * H :] if path.endswith("recurrent_bias") else gradient.T


def torch_states(last, carries, bidirectional):
    """Order the states as torch does: layer by layer, forward before backward."""
    flat = [carry[way] for carry in carries for way in recurrent.DIRECTIONS] if bidirectional else list(carries)
    if isinstance(last, tuple):
        return [np.stack([state.h for state in flat]), np.stack([state.c for state in flat])], list(last)
    return [np.stack(flat)], [last]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("name", "layers", "bidirectional", "packed"),
    [("vanilla", 2, True, True), ("vanilla, relu", 1, False, False), ("lstm", 2, True, True), ("gru", 2, True, True)],
)
def test_stacks_are_torchs_in_both_directions_with_packed_sequences(name, layers, bidirectional, packed):
    torch = pytest.importorskip("torch", reason="torch is the peer")
    stacked = [OWN[name]] * layers
    shapes = jax.eval_shape(
        partial(recurrent.init_stack, cells=stacked, in_features=D, bidirectional=bidirectional), jax.random.key(0)
    )
    rng = np.random.default_rng(0)
    parameters, x = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes), inputs()
    run = partial(recurrent.stack, stacked, bidirectional=bidirectional, lengths=LENGTHS if packed else None)

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def ours(parameters, x):
        carries, y = run(parameters, x)
        return jnp.sum(jnp.sin(y) * cotangent) + sum(map(jnp.sum, jax.tree.leaves(carries))), (carries, y)

    cotangent = rng.normal(size=(B, T, H * (1 + bidirectional)))
    (_, (carries, y)), (d_parameters, d_x) = ours(parameters, x)

    network = torch_network(torch, name, layers, bidirectional, parameters)
    peer_x = torch.tensor(x, requires_grad=True)
    pack = partial(torch.nn.utils.rnn.pack_padded_sequence, lengths=LENGTHS, batch_first=True, enforce_sorted=False)
    peer_y, last = network(pack(peer_x) if packed else peer_x)
    if packed:
        peer_y, _ = torch.nn.utils.rnn.pad_packed_sequence(peer_y, batch_first=True)
    states, peer_states = torch_states(last, carries, bidirectional)
    (torch.sum(torch.sin(peer_y) * torch.tensor(cotangent)) + sum(state.sum() for state in peer_states)).backward()

    close(y, peer_y.detach().numpy())
    for state, peer_state in zip(states, peer_states, strict=True):
        close(state, peer_state.detach().numpy())
    close(d_x, peer_x.grad.numpy())
    for path, gradient in tree.flatten(d_parameters).items():
        close(gradient, from_torch(path, network), err_msg=path)


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
    parameters, x = draw(OWN[name]), inputs()

    def theirs(parameters, x, carry):
        layers = {"params": {"cell": flax_parameters(name, parameters)}}
        return peer.apply(layers, x, initial_carry=tuple(carry) if name == "lstm" else carry)

    carry = draw_carry(OWN[name])
    (_, (last, y)), gradients = value_and_gradients(partial(scan_with_carry, OWN[name]))(parameters, x, carry)
    (_, (peer_last, peer_y)), peer_gradients = value_and_gradients(theirs)(parameters, x, carry)
    close(y, peer_y)
    for ours, theirs_leaf in zip(
        jax.tree.leaves((last, gradients)), jax.tree.leaves((peer_last, peer_gradients)), strict=True
    ):
        close(ours, theirs_leaf)


def dots_in_loops(function, *arrays):
    """Count the matrix products in the body of every loop of a function, in order."""
    counts = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scan":
                counts.append(str(equation.params["jaxpr"]).count("dot_general"))
            else:
                for value in equation.params.values():
                    if hasattr(value, "jaxpr") or hasattr(value, "eqns"):
                        visit(getattr(value, "jaxpr", value))

    visit(jax.make_jaxpr(function)(*arrays).jaxpr)
    return counts


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_one_product_a_step_is_left_in_the_loop_in_both_passes(name):
    cell = OWN[name]
    arrays = draw(cell), inputs(), draw_carry(cell)
    run = partial(scan_with_carry, cell)
    assert dots_in_loops(run, *arrays) == [1]
    assert dots_in_loops(jax.grad(lambda *args: weigh(*run(*args)), argnums=(0, 1, 2)), *arrays) == [1, 1]


def test_segments_need_less_memory():
    steps, cell = 256, cells.LSTM(H)

    def memory(segments):
        run = jax.grad(lambda p, x: weigh(*recurrent.scan(cell, p, x, segments=segments)))
        shapes = jax.eval_shape(lambda: cells.init(jax.random.key(0), cell, D)), jnp.zeros((8, steps, D))
        return jax.jit(run).lower(*shapes).compile().memory_analysis().temp_size_in_bytes

    whole, pieces = memory(1), memory(16)
    assert pieces < whole / 3


def test_leading_dimensions_are_batch_dimensions():
    cell, parameters = cells.LSTM(H), jax.tree.map(jnp.float32, draw(cells.LSTM(H)))
    x = jnp.asarray(inputs(), jnp.float32)
    run = jax.jit(partial(recurrent.scan, cell))
    carry, y = run(parameters, x, lengths=LENGTHS)
    nested, y_nested = run(parameters, x[None], lengths=LENGTHS[None])
    np.testing.assert_array_equal(y_nested, y[None])
    np.testing.assert_array_equal(nested.c, carry.c[None])
    one, y_one = run(parameters, x[1], lengths=2)
    np.testing.assert_allclose(y_one, y[1], atol=1e-6)
    np.testing.assert_allclose(one.h, carry.h[1], atol=1e-6)


def test_the_scan_takes_the_dtype_of_its_input_and_maps_over_parameters(key):
    cell = cells.GRU(H)
    parameters = jax.vmap(lambda key: cells.init(key, cell, D))(jax.random.split(key, 2))
    x = jnp.asarray(inputs(), jnp.bfloat16)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    @partial(jax.value_and_grad, has_aux=True)
    def run(parameters, x):
        carry, y = recurrent.scan(cell, parameters, x)
        return weigh(carry, y).astype(jnp.float32), y

    (_, y), gradients = run(parameters, x)
    assert y.dtype == jnp.bfloat16
    assert y.shape == (2, B, T, H)
    assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, parameters)
    _, expected = jax.jit(partial(recurrent.scan, cell))(tree.take(parameters, 1), x.astype(jnp.float32))
    np.testing.assert_allclose(y[1].astype(jnp.float32), expected, atol=0.03)


@pytest.mark.usefixtures("float64")
def test_forward_mode_works_without_a_gradient_of_our_own():
    cell = cells.GRU(H)
    parameters, x = draw(cell), inputs()
    run = partial(recurrent.scan, cell, parameters, own_gradient=False)
    _, tangent = jax.jit(lambda x: jax.jvp(lambda x: run(x)[1], (x,), (x,)))(x)
    step = 1e-6
    close(tangent, (run(x * (1 + step))[1] - run(x * (1 - step))[1]) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_a_stream_in_chunks_with_the_state_carried_on_is_the_whole():
    cell = cells.LSTM(H)
    parameters, x = draw(cell), inputs()
    pieces = recurrent.chunks({"x": x, "mask": np.arange(T) < LENGTHS[:, None]}, 2)
    assert pieces["x"].shape == (3, B, 2, D)
    carry, outputs = cell.initial_carry((B,), jnp.float64), []
    run = jax.jit(lambda carry, batch: recurrent.scan(cell, parameters, batch["x"], carry, mask=batch["mask"]))
    for n in range(3):
        carry, y = run(carry, tree.take(pieces, n))
        outputs.append(y)
    expected, y = recurrent.scan(cell, parameters, x, lengths=LENGTHS)
    jax.tree.map(close, (carry, jnp.concatenate(outputs, axis=1)[:, :T]), (expected, y))


def test_the_module_is_the_stack_with_dropout_between_layers_alone(key):
    cell, x = cells.Vanilla(H), jnp.ones((B, T, D))
    module = recurrent.RNN(cell, layers=2, bidirectional=True, retain_probability=0.5)
    variables = jax.jit(module.init)(key, x)
    drawn = jax.eval_shape(partial(recurrent.init_stack, cells=[cell] * 2, in_features=D, bidirectional=True), key)
    assert jax.tree.map(jnp.shape, variables["params"]) == jax.tree.map(jnp.shape, drawn)

    apply = jax.jit(module.apply, static_argnames="train")
    carries, y = apply(variables, x, lengths=LENGTHS)
    expected, y_expected = jax.jit(partial(recurrent.stack, [cell] * 2, bidirectional=True))(
        variables["params"], x, lengths=LENGTHS
    )
    jax.tree.map(np.testing.assert_array_equal, (carries, y), (expected, y_expected))
    dropped, y_dropped = apply(variables, x, train=True, rngs={"dropout": key})
    plain, y_plain = apply(variables, x)
    jax.tree.map(np.testing.assert_array_equal, dropped[0], plain[0])
    assert np.abs(y_dropped - y_plain).max() > 0.01
    assert np.abs(y_dropped).min() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, x: recurrent.scan(OWN["gru"], p, x[0, 0]), r"x \[..., T, D\].* got \(2,\)"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x.astype(int)), "floating-point numbers; got .* int"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x, lengths=[1, 2]), r"\(3,\); got \(2,\)"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x, mask=np.ones((B, 2))), r"\(3, 5\).* got \(3, 2\)"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x, lengths=LENGTHS, mask=MASK), "not both"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x, np.zeros((2, H))), r"\(3, 4\); got \(2, 4\)"),
        (lambda p, x: recurrent.scan(OWN["lstm"], p, x, np.zeros((B, H))), "LSTMState"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x, segments=0), "at least 1; got 0 and None"),
        (lambda p, x: recurrent.scan(OWN["gru"], p, x, truncation=0), "at least 1; got 1 and 0"),
        (lambda p, x: recurrent.stack([OWN["gru"]], {"layer0": p}, x, []), "each of its 1 cells; got 0"),
        (lambda p, x: recurrent.chunks({"x": x}, 0), "at least 1; got 0"),
    ],
)
def test_mistakes_are_named_with_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call(draw(OWN["gru"]), inputs())
