"""Teacher forcing of output recurrence: a loop in NumPy, and the parallel form against the sequential one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import forced_parallel, forced_scan
from jaxdl.nn.recurrent import cells

B, T, D, H, K = 2, 4, 3, 5, 2
RANDOM = np.random.default_rng(0)
X, Z, FIRST = (RANDOM.normal(size=shape) for shape in [(B, T, D), (B, T, K), (B, K)])
PARAMETERS = {
    "kernel": RANDOM.normal(size=(D, H)),
    "bias": RANDOM.normal(size=H),
    "recurrent_kernel": RANDOM.normal(size=(H, H)),
    "output_recurrent_kernel": RANDOM.normal(size=(K, H)),
    "output_kernel": RANDOM.normal(size=(H, K)),
    "output_bias": RANDOM.normal(size=K),
}
BOTH = cells.Jordan(H, num_outputs=K, output_activation="sigmoid", hidden_recurrence=True)
OUTPUT = cells.Jordan(H, num_outputs=K, output_activation="sigmoid")
WITHOUT = {name: leaf for name, leaf in PARAMETERS.items() if name != "recurrent_kernel"}


@pytest.mark.parametrize("both", [False, True], ids=["output alone", "hidden too"])
def test_forcing_step_by_step_matches_a_loop(both, float64):
    cell, p = (BOTH, PARAMETERS) if both else (OUTPUT, WITHOUT)
    found = jax.jit(lambda p: forced_scan(cell, p, X, Z, FIRST))(p)
    h, z = np.zeros((B, H)), FIRST
    for t in range(T):
        a = X[:, t] @ p["kernel"] + p["bias"] + z @ p["output_recurrent_kernel"]
        h = np.tanh(a + h @ p["recurrent_kernel"] if both else a)
        y = 1 / (1 + np.exp(-(h @ p["output_kernel"] + p["output_bias"])))
        np.testing.assert_allclose(found[:, t], y, rtol=1e-12)
        z = Z[:, t]


def test_the_parallel_form_has_the_values_and_gradients_of_the_loop(float64):
    def differentiate(way):
        def loss(p, x, z):
            return jnp.sum(jnp.sin(way(OUTPUT, p, x, z)))

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(WITHOUT, X, Z)

    close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13)
    jax.tree.map(close, differentiate(forced_scan), differentiate(forced_parallel))


def test_the_parallel_form_has_no_loop():
    x, z = np.float32(X), np.float32(Z)
    text = str(jax.make_jaxpr(lambda p: forced_parallel(OUTPUT, p, x, z))(WITHOUT))
    assert "scan" not in text
    assert "while" not in text


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: forced_parallel(BOTH, PARAMETERS, X, Z), "got hidden_recurrence=True"),
        (lambda: forced_scan(OUTPUT, WITHOUT, X, Z[:, :2]), r"got \(2, 4, 3\) and \(2, 2, 2\)"),
        (lambda: forced_parallel(OUTPUT, WITHOUT, X, Z, FIRST[:1]), r"got \(1, 2\)"),
    ],
)
def test_invalid_arguments_raise(call, match):
    with pytest.raises(ValueError, match=match):
        call()
