"""An update of 25 million parameters in 160 arrays by each optimizer, ours against optax's.

The arrays are as in ResNet-50: 53 large kernels, the scales and biases of 53 normalisations, and a bias. One call is
the whole update, ``u, s = update(g, s, w); w = w + u``, under `jax.jit` with parameters and state donated. Both sides
start from the same parameters; parameters and states are shown equal after three updates before anything is timed.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

from experiments.benchmarks.timing import Case
from jaxdl import optim, tree

GOAL = 1.05
RATE = 1e-3
SHAPES = [(3, 3, 231, 231)] * 53 + [(512,)] * 106 + [(1000,)]
PAIRS = {
    "sgd": (optim.sgd(RATE), optax.sgd(RATE)),
    "momentum": (optim.momentum(RATE), optax.sgd(RATE, 0.9)),
    "nesterov": (optim.nesterov(RATE), optax.sgd(RATE, 0.9, nesterov=True)),
    "adagrad": (optim.adagrad(RATE, eps=0.0, eps_root=1e-7), optax.adagrad(RATE, 0.0)),
    "rmsprop": (optim.rmsprop(RATE), optax.rmsprop(RATE, eps_in_sqrt=False)),
    "adadelta": (optim.adadelta(RATE), optax.adadelta(RATE)),
    "adam": (optim.adam(RATE), optax.adam(RATE)),
    "adamw": (optim.adamw(RATE), optax.adamw(RATE)),
    "adamax": (optim.adamax(RATE), optax.adamax(RATE)),
    "nadam": (optim.nadam(RATE), optax.nadam(RATE)),
    "adam, gradients clipped": (
        optax.chain(optim.clip_by_global_norm(1.0), optim.adam(RATE)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE)),
    ),
}


def titles() -> list[str]:
    """Name the cases."""
    return list(PAIRS)


def cases() -> Iterator[Case]:
    """Yield every method that optax has."""
    gradients = jax.device_put(draw(1, scale=0.1))
    for name, pair in PAIRS.items():
        ours, theirs = (Side(optimizer, gradients) for optimizer in pair)
        ours.check_equal(theirs)
        yield Case(name, "optax", ours.update, theirs.update, GOAL, rounds=11)


class Side:
    """An optimizer with its own copy of the parameters."""

    def __init__(self, optimizer: optax.GradientTransformation, gradients: dict[str, jax.Array]):
        def step(w: Any, state: Any, g: Any) -> tuple[Any, Any]:
            updates, state = optimizer.update(g, state, w)
            return optax.apply_updates(w, updates), state

        self.gradients = gradients
        self.step = jax.jit(step, donate_argnums=(0, 1))
        self.params = jax.device_put(draw(0, scale=1.0))
        self.state = optimizer.init(self.params)

    def update(self) -> None:
        """Apply one update."""
        self.params, self.state = self.step(self.params, self.state, self.gradients)
        jax.block_until_ready(self.params)

    def check_equal(self, other: "Side") -> None:
        """Check that parameters and moments of both sides are equal after three updates."""
        for _ in range(3):
            self.update()
            other.update()
        for ours, theirs in zip(self.arrays(), other.arrays(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-7)

    def arrays(self) -> list[jax.Array]:
        """Return the parameters and all moments of their shapes, in order."""
        return [*tree.flatten(self.params).values(), *(leaf for leaf in jax.tree.leaves(self.state) if leaf.ndim)]


def draw(seed: int, scale: float) -> dict[str, np.ndarray]:
    """Draw normal numbers in the shapes of the parameters."""
    generator = np.random.default_rng(seed)
    return {
        f"array{number:03d}": scale * generator.standard_normal(shape, dtype=np.float32)
        for number, shape in enumerate(SHAPES)
    }
