"""Training of many runs as one program, and the choice of learning rates by other runs than those that are judged."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.configuration import Config
from experiments.harness.errors import preparing
from jaxdl import data, train, tree
from jaxdl.typing import Array, Batch, Key, PyTree, Schedule

Metrics = dict[str, Array]
Loss = Callable[[PyTree, Batch, Key], tuple[Array, tuple[dict[str, PyTree], Metrics]]]
Learn = Callable[[Array, PyTree], dict[str, Array]]
"""``learn(rate, run)`` trains one run at a learning rate and returns its curves ``[steps]``."""


@dataclass(frozen=True)
class RateSearch(Config):
    """Independent runs at the best of several learning rates, which other runs choose."""

    SMOKE = {"seeds": 2, "search_seeds": 1, "steps": 2, "batch_size": 4}
    LEAST = {"seeds": 2}

    seeds: int = 12
    """Independent runs that are judged."""
    search_seeds: int = 3
    """Other runs at each rate, which choose the best."""
    rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3)
    """Learning rates."""
    steps: int = 300
    """Updates."""
    batch_size: int = 64
    """Examples in an update."""


def training_digits() -> Batch:
    """Read the training part of scikit-learn's digits and place it on the device."""
    with preparing():
        return jax.device_put(dict(data.load("digits").train))


def draw_batches(seed: int | np.random.Generator, examples: Batch, shape: tuple[int, ...]) -> np.ndarray:
    """Draw the indices of batches of examples, ``shape`` such as ``[runs, steps, B]``."""
    random = np.random.default_rng(seed)
    return random.integers(len(examples["label"]), size=shape, dtype=np.int32)


def fit_batches(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    variables: PyTree,
    examples: Batch,
    batches: Array,
    *,
    follow: Callable[[train.TrainState], Metrics] = lambda state: {},
) -> tuple[train.TrainState, Metrics]:
    """Train on the examples at the indices ``batches [steps, B]``; return the state and the metrics ``[steps]``.

    ``follow(state)`` gives further metrics after every step.
    """
    step = train.make_step(loss, optimizer)
    start = train.TrainState.create(variables, optimizer, jax.random.key(0))  # the loss draws nothing

    def update(state: train.TrainState, index: Array) -> tuple[train.TrainState, Metrics]:
        state, metrics = step(state, tree.take(examples, index))
        return state, {**metrics, **follow(state)}

    return jax.lax.scan(update, start, batches)


def learn_at_rate(loss: Loss, optimizer: Callable[[Array], optax.GradientTransformation], examples: Batch) -> Learn:
    """Make ``learn(rate, (variables, batches))``, whose curves are the ``loss`` and the ``accuracy`` ``[steps]``."""

    def learn(rate: Array, run: tuple[PyTree, Array]) -> Metrics:
        _, metrics = fit_batches(loss, optimizer(rate), run[0], examples, run[1])
        return {name: metrics[name] for name in ("loss", "accuracy")}

    return learn


def fit_one_batch(
    loss: Loss, optimizer: optax.GradientTransformation, variables: PyTree, batch: Batch, steps: int, key: Key
) -> tuple[train.TrainState, Metrics]:
    """Train on the same batch in every step; return the state and the metrics ``[steps]``."""
    step = train.make_step(loss, optimizer)
    start = train.TrainState.create(variables, optimizer, key)
    return jax.lax.scan(lambda state, _: step(state, batch), start, length=steps)


def fit_samples(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    variables: PyTree,
    sample: Callable[[Any], Batch],
    keys: PyTree,
    key: Key,
) -> tuple[train.TrainState, Metrics]:
    """Train on new examples, ``sample(key)`` for each of ``keys [steps]``; ``key`` is that of the state."""
    step = train.make_step(loss, optimizer)
    start = train.TrainState.create(variables, optimizer, key)
    return jax.lax.scan(lambda state, key: step(state, sample(key)), start, keys)


def descend(loss: Callable[[Array], Array], optimizer: optax.GradientTransformation, w: Array, steps: int) -> Array:
    """Return the path ``[steps + 1, ...]`` of an optimizer from ``w``, the start included."""

    def step(carry: tuple, _: None) -> tuple:
        w, state = carry
        updates, state = optimizer.update(jax.grad(loss)(w), state, w)
        w = optax.apply_updates(w, updates)
        return (w, state), w

    _, path = jax.lax.scan(step, (w, optimizer.init(w)), length=steps)
    return jnp.concatenate([w[None], path])


def check_learned(values: Any) -> None:
    """Check that losses or errors, which a compiled program has measured of runs at a given rate, are no NaN.

    Raises:
        NonfiniteError: one is.
    """
    if np.any(np.isnan(values)):
        message = f"expected finite losses, got NaN in {np.mean(np.isnan(values)):.0%} of them; lower --learning-rate"
        raise train.NonfiniteError(message, step=0, metric="loss", leaf=None)


def best_rate(scores: np.ndarray) -> int:
    """Return the index of the rate with the lowest mean score ``[rates, runs]``; NaN counts as infinite.

    >>> best_rate(np.array([[3.0, 1.0], [0.0, np.nan], [1.0, 2.0]]))
    2
    """
    return int(np.argmin(np.nan_to_num(np.mean(scores, axis=1), nan=np.inf)))


def measure_all_rates(learn: Learn, rates: np.ndarray, runs: PyTree) -> dict[str, np.ndarray]:
    """Train all runs at all rates as one program; return the curves ``[rates, runs, steps]``."""
    return jax.device_get(jax.jit(jax.vmap(jax.vmap(learn, (None, 0)), (0, None)))(rates, runs))


def search_rate_then_measure(
    learn: Learn, rates: np.ndarray, runs: PyTree, search: int, score: Callable[[dict[str, np.ndarray]], np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """Choose a rate by the first ``search`` runs; return it and the curves ``[runs, steps]`` of the others at it.

    ``score(curves)`` gives a number per run, and the rate with the lowest mean is chosen. If as many runs are judged
    as are tried, both use one compiled program.
    """
    learn, count = jax.jit(jax.vmap(learn)), len(jax.tree.leaves(runs)[0])

    def at(rate: np.ndarray, run: np.ndarray) -> dict[str, Any]:
        return jax.device_get(learn(rate, tree.take(runs, run)))

    tried = at(np.repeat(rates, search), np.tile(np.arange(search), len(rates)))
    rate = rates[best_rate(score(tried).reshape(len(rates), search))]
    return rate, at(np.full(count - search, rate), np.arange(search, count))


def tabulate(made: dict[str, Schedule], steps: int) -> dict[str, np.ndarray]:
    """Evaluate schedules at every step."""
    values = jax.device_get(jax.jit(lambda t: [make(t) for make in made.values()])(np.arange(steps)))
    return dict(zip(made, values, strict=True))
