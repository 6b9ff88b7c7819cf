"""Small cells, inputs and a loss that the tests of recurrent networks share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells

B, T, D, H = 3, 5, 2, 4
LENGTHS = np.array([5, 2, 4])
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 0, 1], [1, 1, 1, 0, 0]])
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)

WITH_VJP_RULE = {
    "vanilla": cells.Vanilla(H),
    "vanilla, sigmoid": cells.Vanilla(H, "sigmoid"),
    "vanilla, relu": cells.Vanilla(H, "relu"),
    "lstm": cells.LSTM(H),
    "lstm, sigmoid": cells.LSTM(H, "sigmoid"),
    "gru": cells.GRU(H),
    "gru, write": cells.GRU(H, update="write"),
    "gru, reset before": cells.GRU(H, reset="before"),
    "gru, textbook form": cells.GRU(H, "sigmoid", "before", "write"),
}


def draw(cell, input_size=D, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape) for name, (_, shape) in cell.shapes(input_size).items()}


def draw_carry(cell, batch_shape=(B,)):
    rng = np.random.default_rng(3)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), cell.init_carry(batch_shape))


def inputs(seed=1):
    return np.random.default_rng(seed).normal(size=(B, T, D))


def weigh(carry, y):
    """A loss that reads every output and every number of the last state."""
    leaves = [*jax.tree.leaves(carry), y]
    return sum(jnp.sum(jnp.sin(leaf) * (1 + jnp.arange(leaf.size).reshape(leaf.shape) % 7)) for leaf in leaves)


def value_and_gradients(run):
    """Compile ``run(parameters, x, carry) -> (carry, y)`` with the gradients with respect to all three."""

    def loss(parameters, x, carry):
        carry, y = run(parameters, x, carry)
        return weigh(carry, y), (carry, y)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))


def scan_with_carry(cell, parameters, x, carry, **options):
    return recurrent.scan(cell, parameters, x, carry, **options)
