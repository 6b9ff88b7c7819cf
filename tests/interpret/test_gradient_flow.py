"""Gradients through time: Jacobians against differentiation of the whole, their bound, and eigenvalues by numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.interpret import gradient_flow
from jaxdl.nn.recurrent import cells

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
T, D, H = 5, 2, 3


def draw(cell, scale=1.0):
    rng = np.random.default_rng(0)
    return {name: scale * rng.normal(size=shape) for name, (_, shape) in cell.shapes(D).items()}


def inputs():
    return np.random.default_rng(1).normal(size=(T, D))


def stepper(cell):
    return lambda parameters: lambda state, x: cell(parameters, state, x)[0]


def test_norms_equal_those_of_differentiating_the_whole():
    cell, x = cells.GRU(H), inputs()
    step, s_0 = stepper(cell)(draw(cell)), np.full(H, 0.1)
    norms = jax.jit(lambda x: gradient_flow.jacobian_norms(step, s_0, x))(x)
    s = [s_0]
    for x_t in x:
        s.append(step(s[-1], x_t))

    def go(state, k, t):
        for x_t in x[k:t]:
            state = step(state, x_t)
        return state

    for k, t in ((0, 5), (1, 3), (2, 2), (4, 5)):
        close(norms[t, k], np.linalg.norm(jax.jacrev(go)(s[k], k, t), 2))
    assert not np.triu(norms, 1).any()
    frobenius = jax.jit(lambda x: gradient_flow.jacobian_norms(step, s_0, x, order="fro"))(x)
    close(frobenius[5, 0], np.linalg.norm(jax.jacrev(go)(s_0, 0, 5)))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_the_bound_holds(activation):
    cell = cells.Vanilla(H, activation)
    lags = np.subtract.outer(np.arange(T + 1), np.arange(T + 1))

    @jax.jit
    def measure(parameters, x):
        step = stepper(cell)(parameters)
        bound = gradient_flow.jacobian_bound(parameters["recurrent_kernel"], jnp.abs(lags), activation)
        return gradient_flow.jacobian_norms(step, jnp.zeros(H), x), bound

    for scale in (0.05, 0.3, 1.0, 2.5):
        norms, bound = measure(draw(cell, scale), inputs() * scale)
        assert np.all(np.tril(norms) <= bound * (1 + 1e-9))
    gentle, bound = measure(draw(cell, 1e-3), inputs())
    if activation != "relu":
        assert gentle[1, 0] > 0.9 * bound[1, 0]


@pytest.mark.parametrize("size", [1, 4])
def test_the_spectral_radius_is_the_largest_eigenvalue(size):
    rng = np.random.default_rng(size)
    matrices = np.concatenate(
        [
            rng.normal(size=(20, size, size)) * 10.0 ** rng.integers(-8, 9, size=(20, 1, 1)),
            np.triu(np.ones((1, size, size))),
        ]
    )
    expected = np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
    close(jax.jit(gradient_flow.spectral_radius)(matrices), expected, rtol=1e-5)


def test_the_spectral_radius_of_a_nilpotent_matrix_is_zero():
    assert gradient_flow.spectral_radius(jnp.zeros((2, 2))) == 0
    assert gradient_flow.spectral_radius(jnp.array([[0.0, 1.0], [0.0, 0.0]])) == 0


def test_the_forget_path_is_the_product_of_the_forget_gates_and_the_rest_is_the_output_path():
    cell, x = cells.LSTM(H), inputs()
    parameters, start = draw(cell), cells.LSTMState(np.full(H, 0.2), np.full(H, -0.1))
    paths = jax.jit(lambda parameters: gradient_flow.lstm_paths(stepper(cell)(parameters), start, x))
    forget, output, total = paths(parameters)

    state, gates = start, []
    for x_t in x:
        a = x_t @ parameters["kernel"] + state.h @ parameters["recurrent_kernel"] + parameters["bias"]
        gates.append(1 / (1 + np.exp(-a[H : 2 * H])))
        state, _ = cell(parameters, state, x_t)
    for k in range(T + 1):
        close(forget[k], np.prod(gates[k:], axis=0).max() if k < T else 1.0)

    def last_memory(c):
        state = cells.LSTMState(c, start.h)
        for x_t in x:
            state, _ = cell(parameters, state, x_t)
        return state.c

    whole = jax.jacrev(last_memory)(start.c)
    close(total[0], np.linalg.norm(whole, 2))
    close(output[0], np.linalg.norm(whole - np.diag(np.prod(gates, axis=0)), 2))
    assert output[T] == 0
    assert output[T - 1] == 0

    deaf = paths(parameters | {"recurrent_kernel": np.zeros((H, 4 * H))})
    assert not deaf.output.any()
    close(deaf.total, deaf.forget)


def test_norms_of_leaves_are_named_by_path():
    norms = gradient_flow.leaf_norms({"b": jnp.array([[3.0], [4.0]]), "a": {"kernel": jnp.array(2.0)}})
    assert {path: float(norm) for path, norm in norms.items()} == {"a/kernel": 2.0, "b": 5.0}


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r"got \(2, 3\)"):
        gradient_flow.spectral_radius(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="got 'swish'"):
        gradient_flow.jacobian_bound(np.eye(2), 1, "swish")


def test_norms_are_averaged_over_all_pairs_with_the_same_lag():
    norms = np.tril(10.0 ** np.subtract.outer([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]))[None]
    np.testing.assert_allclose(gradient_flow.mean_log10_by_lag(norms), [[0.0, 1.5, 3.0]])


def test_one_norm_above_the_bound_is_detected():
    steps = 41
    bound = 0.9 ** np.arange(steps)[None]
    lags = np.subtract.outer(np.arange(steps), np.arange(steps))
    norms = np.where(lags >= 0, 0.9 ** np.abs(lags), 0.0)[None]
    assert gradient_flow.within_bound(norms, bound).all()
    norms[0, 7, 3] *= 1.001
    assert not gradient_flow.within_bound(norms, bound).any()
