"""Recurrent cells against their equations in numpy, one gate and one time after the other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells
from jaxdl.nn.recurrent.cells.gru import RESETS

D, H, K, B, T = 3, 4, 2, 2, 3
close = partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-13)


def s(a):
    return 1 / (1 + np.exp(-a))


def gate(p, x, h, k):
    """The sum ``x W_k + h U_k + b_k`` of the gate number k."""
    part = slice(k * H, (k + 1) * H)
    return x @ p["kernel"][:, part] + h @ p["recurrent_kernel"][:, part] + p["bias"][part]


def vanilla(p, carry, x):
    h = np.tanh(gate(p, x, carry, 0))
    return h, h


def jordan(p, carry, x, both=False):
    h, y = carry
    a = x @ p["kernel"] + y @ p["output_recurrent_kernel"] + p["bias"]
    h = np.tanh(a + h @ p["recurrent_kernel"] if both else a)
    y = s(h @ p["output_kernel"] + p["output_bias"])
    return (h, y), y


def lstm(p, carry, x, g=np.tanh):
    c, h = carry
    a_i, a_f, a_g, a_o = (gate(p, x, h, k) for k in range(4))
    c = s(a_f) * c + s(a_i) * g(a_g)
    h = s(a_o) * g(c)
    return (c, h), h


def constant_forget(p, carry, x, forget=1.0):
    c, h = carry
    a_i, a_g, a_o = (gate(p, x, h, k) for k in range(3))
    c = forget * c + s(a_i) * np.tanh(a_g)
    h = s(a_o) * np.tanh(c)
    return (c, h), h


def peephole(p, carry, x):
    c, h = carry
    (a_i, a_f, a_g, a_o), (p_i, p_f, p_o) = (gate(p, x, h, k) for k in range(4)), p["peephole"]
    c = s(a_f + p_f * c) * c + s(a_i + p_i * c) * np.tanh(a_g)
    h = s(a_o + p_o * c) * np.tanh(c)
    return (c, h), h


def four_gates(p, carry, x, forgotten=False):
    long, short = carry
    a_i, a_f, a_g, a_o = (gate(p, x, short, k) for k in range(4))
    kept, learned = long * s(a_f), np.tanh(a_g) * s(a_i)
    long = kept + learned
    used = np.tanh((kept if forgotten else long) @ p["use_kernel"] + p["use_bias"])
    return (long, used * s(a_o)), used * s(a_o)


def gru(p, h, x, before=False, write=False, g=np.tanh):
    r, z = s(gate(p, x, h, 0)), s(gate(p, x, h, 1))
    x_n, U_n = x @ p["kernel"][:, 2 * H :] + p["bias"][2 * H :], p["recurrent_kernel"][:, 2 * H :]
    n = g(x_n + (r * h) @ U_n) if before else g(x_n + r * (h @ U_n + p["recurrent_bias"]))
    h = (1 - z) * h + z * n if write else z * h + (1 - z) * n
    return h, h


CELLS = {
    "vanilla": (cells.Vanilla(H), vanilla),
    "jordan": (cells.Jordan(H, K, output_activation="sigmoid"), jordan),
    "elman and jordan": (cells.Jordan(H, K, "tanh", "sigmoid", hidden_recurrence=True), partial(jordan, both=True)),
    "lstm": (cells.LSTM(H), lstm),
    "lstm, sigmoid": (cells.LSTM(H, "sigmoid"), partial(lstm, g=s)),
    "lstm of 1997": (cells.ConstantForgetLSTM(H), constant_forget),
    "lstm, annealed": (cells.ConstantForgetLSTM(H, forget=0.9), partial(constant_forget, forget=0.9)),
    "lstm, peepholes": (cells.PeepholeLSTM(H), peephole),
    "lstm, four gates": (cells.FourGateLSTM(H), four_gates),
    "lstm, four gates, forgotten": (cells.FourGateLSTM(H, use_reads="forgotten"), partial(four_gates, forgotten=True)),
    "gru": (cells.GRU(H), gru),
    "gru, write": (cells.GRU(H, update="write"), partial(gru, write=True)),
    "gru, reset before": (cells.GRU(H, reset="before"), partial(gru, before=True)),
    "gru, textbook form": (
        cells.GRU(H, "sigmoid", "before", "write"),
        partial(gru, before=True, write=True, g=s),
    ),
}


def draw(cell, seed=0):
    """Parameters without a zero, as numpy arrays."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, (_, shape) in cell.shapes(D).items()}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CELLS)
def test_steps_follow_the_equations(name):
    cell, equations = CELLS[name]
    parameters, x = draw(cell), np.random.default_rng(1).normal(size=(T, B, D))
    carry = expected = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.3), cell.init_carry((B,)))
    step = jax.jit(cell)
    for x_t in x:
        carry, y = step(parameters, carry, x_t)
        expected, expected_y = equations(parameters, expected, x_t)
        close(y, expected_y)
        for leaf, expected_leaf in zip(jax.tree.leaves(carry), jax.tree.leaves(expected), strict=True):
            close(leaf, expected_leaf)
    assert y.shape == (B, cell.output_size)


@pytest.mark.usefixtures("float64")
def test_variants_of_the_lstm_agree_where_their_equations_do():
    parameters, x = draw(cells.LSTM(H)), np.random.default_rng(1).normal(size=(B, D))
    carry = cells.LSTMState(*np.random.default_rng(2).normal(size=(2, B, H)))
    _, expected = cells.LSTM(H)(parameters, carry, x)
    _, y = cells.PeepholeLSTM(H)(parameters | {"peephole": np.zeros((3, H))}, carry, x)
    close(y, expected)
    _, y = cells.FourGateLSTM(H)(parameters | {"use_kernel": np.eye(H), "use_bias": np.zeros(H)}, carry, x)
    close(y, expected)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("reset", RESETS)
def test_a_gru_that_writes_is_one_that_retains_with_its_gate_negated(reset):
    retains, writes = cells.GRU(H, reset=reset), cells.GRU(H, reset=reset, update="write")
    parameters, x = draw(retains), np.random.default_rng(1).normal(size=(B, D))
    sign = np.repeat([1.0, -1.0, 1.0], H)
    negated = parameters | {name: parameters[name] * sign for name in ("kernel", "recurrent_kernel", "bias")}
    h = np.random.default_rng(2).normal(size=(B, H))
    close(writes(negated, h, x)[1], retains(parameters, h, x)[1])


@pytest.mark.usefixtures("float64")
def test_the_truncated_gradient_flows_through_the_memory_alone():
    """With the outputs that the gates read held as numbers, the full gradient is the truncated one."""
    cell, truncated = (cells.ConstantForgetLSTM(H, truncated_gradient=truncated) for truncated in (False, True))
    parameters, x = draw(cell), np.random.default_rng(1).normal(size=(T, B, D))

    @jax.jit
    @partial(jax.grad, argnums=(0, 1))
    def by_hand(parameters, x, outputs):
        c = jnp.zeros((B, H))
        for h, x_t in zip(outputs, x, strict=True):
            (c, h_t), _ = cell(parameters, cells.LSTMState(c, h), x_t)
        return jnp.sum(h_t)

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def ours(parameters, x):
        carry, y = recurrent.scan(truncated, parameters, jnp.swapaxes(x, 0, 1))
        return jnp.sum(carry.h), y

    (_, y), gradients = ours(parameters, x)
    outputs = np.concatenate([np.zeros((1, B, H)), np.swapaxes(y, 0, 1)[:-1]])
    jax.tree.map(close, gradients, by_hand(parameters, x, outputs))


def test_gate_biases_are_initialized_and_each_gate_is_orthogonal(key):
    parameters = cells.init_cell(key, cells.LSTM(H, forget_bias=1.5, input_bias=-1.0), D)
    assert parameters["bias"].reshape(4, H)[:, 0].tolist() == [-1.0, 1.5, 0.0, 0.0]
    for U in np.split(parameters["recurrent_kernel"], 4, axis=1):
        np.testing.assert_allclose(U @ U.T, np.eye(H), atol=1e-5)
    assert cells.init_cell(key, cells.LSTM(H), D)["bias"][H] == 1
    assert cells.init_cell(key, cells.GRU(H, update_bias=2.0), D)["bias"].tolist() == [0.0] * H + [2.0] * H + [0.0] * H


def test_biases_are_optional(key):
    for cell in (cells.Vanilla(H), cells.GRU(H), cells.Jordan(H, K), cells.FourGateLSTM(H)):
        parameters = {name: leaf for name, leaf in cells.init_cell(key, cell, D).items() if "bias" not in name}
        _, y = jax.eval_shape(cell, parameters, cell.init_carry((B,)), jnp.ones((B, D)))
        assert y.shape == (B, cell.output_size)


def test_the_module_is_the_function_with_parameters(key):
    cell = cells.GRU(H)
    module, carry, x = recurrent.RecurrentCell(cell), cell.init_carry((B,)), jnp.ones((B, D))
    variables = module.init(key, carry, x)
    np.testing.assert_array_equal(module.apply(variables, carry, x)[1], cell(variables["params"], carry, x)[1])
    assert module.apply(variables, carry.astype(jnp.bfloat16), x.astype(jnp.bfloat16))[1].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cells.LSTM(0), "got 0"),
        (lambda: cells.GRU(3, reset="later"), "got 'later'"),
        (lambda: cells.GRU(3, update="keep"), "got 'keep'"),
        (lambda: cells.FourGateLSTM(3, use_reads="all"), "got 'all'"),
        (lambda: cells.Vanilla(H)(draw(cells.Vanilla(H)), np.zeros((B, H)), np.zeros((B, D + 1))), r"\(2, 4\)"),
        (lambda: cells.Vanilla(H, "tanhh")(draw(cells.Vanilla(H)), np.zeros((B, H)), np.zeros((B, D))), "got 'tanhh'"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("make", "new"),
    [
        (lambda: cells.Vanilla(features=4), "hidden_size"),
        (lambda: cells.LSTM(features=4), "hidden_size"),
        (lambda: cells.GRU(features=4), "hidden_size"),
        (lambda: cells.PeepholeLSTM(features=4), "hidden_size"),
        (lambda: cells.Jordan(4, outputs=2), "num_outputs"),
        (lambda: recurrent.RNN(cells.LSTM(4), layers=2), "num_layers"),
        (lambda: recurrent.RNN(cells.LSTM(4), segments=2), "remat_chunks"),
        (lambda: recurrent.RNN(cells.LSTM(4), retain_probability=0.9), "dropout_rate"),
    ],
)
def test_old_names_of_fields_raise_with_the_new_ones(make, new):
    with pytest.raises(TypeError, match=new):
        make()
