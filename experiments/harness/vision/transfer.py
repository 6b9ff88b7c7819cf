"""Transfer of trained parameters to another task, by strategies that differ in the rates of the layers."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen

from experiments.harness.learning import check_learned, fit_batches
from jaxdl import losses, metrics, optim, tree
from jaxdl.optim.freezing import scale_by_path
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import Array, Batch, Key, PyTree

Learn = Callable[..., PyTree]


class Strategy(NamedTuple):
    """The factors of the rate of every layer, and whether all layers but the last start from the source."""

    factors: tuple[float, ...]
    transferred: bool = True


class Target(NamedTuple):
    """Examples of the target: those to learn from, those that choose the rate, and those of the test."""

    pool: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


class Start(NamedTuple):
    """Trained parameters, fresh ones, the order of the target's examples and the key of runs ``[runs, ...]``."""

    trained: PyTree
    fresh: PyTree
    order: np.ndarray
    key: Key


def split_target(generator: np.random.Generator, examples: dict[str, np.ndarray], sizes: tuple[int, ...]) -> Target:
    """Split examples at random into parts of the given sizes."""
    order = generator.permutation(len(examples["label"]))
    ends = np.cumsum(sizes)
    return Target(*(tree.take(examples, part) for part in np.split(order[: ends[-1]], ends[:-1])))


def make_learn(model: linen.Module, layers: tuple[str, ...], steps: int, batch_size: int) -> Learn:
    """Make ``learn(params, factors, rate, examples, order, count, key)``, which trains with Adam and a cosine decay.

    The batches are of the first ``count`` examples in the order, and a layer's rate is multiplied by its factor.
    """

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        return losses.cross_entropy(model.apply(variables, batch["image"]), batch["label"]), ({}, {})

    def learn(
        params: PyTree, factors: Array, rate: Array, examples: Batch, order: Array, count: int | Array, key: Key
    ) -> PyTree:
        by_path = {f"^{layer}/": factor for layer, factor in zip(layers, factors, strict=True)}
        optimizer = optax.chain(optim.adam(cosine_decay(rate, steps)), scale_by_path(by_path))
        batches = jnp.asarray(order)[jax.random.randint(key, (steps, batch_size), 0, count)]
        return fit_batches(loss, optimizer, {"params": params}, examples, batches)[0].params

    return learn


def pretrain(
    learn: Learn, rate: float, layers: tuple[str, ...], params: PyTree, keys: Key, examples: Batch, order: np.ndarray
) -> PyTree:
    """Train parameters ``[runs, ...]`` on all examples of the source, all layers at one rate."""

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None, None))
    def train(params: PyTree, key: Key, examples: Batch, order: Array) -> PyTree:
        return learn(params, jnp.ones(len(layers)), rate, examples, order, len(order), key)

    trained = train(params, keys, examples, order)
    check_learned([np.sum(leaf) for leaf in jax.tree.leaves(jax.device_get(trained))])
    return trained


def accuracy(model: linen.Module, params: PyTree, examples: Batch) -> Array:
    """Return the accuracy of a network."""
    return jnp.mean(metrics.correct(model.apply({"params": params}, examples["image"]), examples["label"]))


def make_transfer(
    learn: Learn, model: linen.Module, layers: tuple[str, ...], strategies: dict[str, Strategy]
) -> Callable[[Start, range, np.ndarray, Target, int], dict[str, np.ndarray]]:
    """Make ``transfer(start, runs, rates, target, count)``, which trains every strategy at rates ``[R, strategies]``.

    It returns the accuracies on the ``validation`` and the ``test`` examples, ``[R, strategies, runs]``.
    """
    fresh_start = jnp.array([not strategy.transferred for strategy in strategies.values()])
    all_factors = jnp.array([strategy.factors for strategy in strategies.values()])

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, 0, None, None, None))
    def transfer_one(
        rate: Array, number: Array, run: Array, start: Start, target: Target, count: Array
    ) -> dict[str, Array]:
        trained, fresh, order, key = tree.take(start, run)
        first = jax.tree.map(partial(jnp.where, fresh_start[number]), fresh, trained | {layers[-1]: fresh[layers[-1]]})
        params = learn(first, all_factors[number], rate, target.pool, order, count, key)
        return {part: accuracy(model, params, getattr(target, part)) for part in ("validation", "test")}

    def transfer(start: Start, runs: range, rates: np.ndarray, target: Target, count: int) -> dict[str, np.ndarray]:
        shape = (*rates.shape, len(runs))
        places = (rates[..., None], np.arange(shape[1])[None, :, None], np.array(runs)[None, None])
        rate, number, run = (np.broadcast_to(a, shape).ravel() for a in places)
        found = transfer_one(rate, number, run, start, target, count)
        return {name: np.asarray(values).reshape(shape) for name, values in found.items()}

    return transfer


def search_then_test(
    transfer: Callable[[Start, range, np.ndarray, Target, int], dict[str, np.ndarray]],
    start: Start,
    rates: np.ndarray,
    search: int,
    target: Target,
    count: int,
    strategies: dict[str, Strategy],
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Choose each strategy's rate by the first ``search`` runs; return the accuracies of the others, and the rates."""
    tried, judged = range(search), range(search, len(start.key))
    grid = np.repeat(rates[:, None], len(strategies), axis=1)
    best = rates[transfer(start, tried, grid, target, count)["validation"].mean(-1).argmax(0)]
    found = transfer(start, judged, best[None], target, count)["test"][0]
    return dict(zip(strategies, found, strict=True)), dict(zip(strategies, best, strict=True))
