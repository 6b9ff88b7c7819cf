"""Learned filters against fixed filters with a learned classifier.

    python -m experiments run learned_filters

Eight 5x5 filters, the rectified maps, max-pooling 2x2 and a linear classifier, on scikit-learn's digits enlarged to
16 x 16. The filters are designed (Sobel in two directions, Laplacian, high-pass, sharpening, blur, and the differences
of both diagonals) and fixed, random and fixed, learned from random ones, or learned from the designed ones; the
classifier is learned in all cases. 12 seeds, Adam at 0.002, 500 digits in training. The claim is reproduced if the
interval of the accuracy, learned minus fixed, lies above 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.claims import Statement, judge_all
from experiments.harness.errors import preparing
from experiments.harness.members import Repeated, evaluations, orders, train_on_samples
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.vision import drawings
from jaxdl import data, metrics, optim, tasks, tree
from jaxdl.nn import Conv, filters, max_pool
from jaxdl.train import TrainState, make_step
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

CLAIMS = (35,)
RATE, BATCH, SIZE = 2e-3, 64, 16
WAYS = {
    "designed, fixed": (True, False),
    "random, fixed": (False, False),
    "learned": (False, True),
    "learned from designed": (True, True),
}


class FilterNetwork(linen.Module):
    """One layer of filters, rectification, pooling, and a linear classifier."""

    @linen.compact
    def __call__(self, x: ArrayLike, train: bool = False) -> Array:
        """Return the logits ``[B, 10]`` of images ``[B, H, W, 1]``."""
        x = max_pool(linen.relu(Conv(8, (5, 5), padding="same", name="filters")(x)), 2)
        return linen.Dense(10, name="output")(x.reshape(len(x), -1))


@dataclass(frozen=True)
class Config(Repeated):
    """Four kinds of filters on digits."""

    SMOKE = {"seeds": 2, "epochs": 1, "examples": 32}

    seeds: int = 12
    epochs: int = 25
    examples: int = 500
    """Digits in training, of 1,437."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with all kinds of filters, judge, draw."""
    with preparing():
        dataset = data.digits(size=SIZE)
    learned = {name: array[: config.examples] for name, array in dataset.train.items()}
    accuracies, kernels = learn(config, learned, dataset.test)
    found = dict(zip(WAYS, accuracies, strict=True))
    judge_all(run, statements({name: curve[-1] for name, curve in found.items()}))
    run.figure("filters", drawings.draw_kernels(dict(zip(WAYS, kernels, strict=True))))
    run.figure("accuracy", drawings.draw_accuracy(found))
    return means(accuracy={name.replace(",", ""): curve[-1] for name, curve in found.items()})


def designed() -> np.ndarray:
    """Return eight fixed filters of Euclidean norm 1, ``[5, 5, 1, 8]``."""
    diagonal = np.array([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
    blur = np.full((5, 5), 1 / 25)
    kernels = [filters.SOBEL_ROWS, filters.SOBEL_COLUMNS, filters.LAPLACE, filters.HIGH_PASS, filters.SHARPEN]
    kernels = [np.pad(kernel, 1) for kernel in (*kernels, diagonal, diagonal[:, ::-1])]
    return np.stack([kernel / np.linalg.norm(kernel) for kernel in (*kernels, blur)], axis=-1)[:, :, None].astype(
        np.float32
    )


def learn(config: Config, examples: Batch, test: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Train all ways for every seed as one program, from equal classifiers and random filters.

    Returns:
        The accuracies ``[ways, epochs, seeds]``, and the filters of the first seed, ``[ways, 5, 5, 1, 8]``.
    """
    task, optimizer, seeds = tasks.classification(FilterNetwork()), optim.adam(RATE), config.seeds
    is_designed, is_learned = (np.repeat(column, seeds) for column in np.transpose([*WAYS.values()]))
    keys = jax.random.split(jax.random.key(config.seed), seeds)[np.tile(np.arange(seeds), len(WAYS))]

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[PyTree, dict[str, Array]]]:
        params, learned = variables["params"], variables["learned"]
        kept = jax.tree.map(lambda leaf: jnp.where(learned, leaf, jax.lax.stop_gradient(leaf)), params["filters"])
        value, (_, measured) = task.loss({"params": {**params, "filters": kept}}, batch, key)
        return value, ({"learned": learned}, measured)

    def create(inputs: tuple[Key, Array, Array]) -> TrainState:
        key, is_designed, is_learned = inputs
        params = task.init(key, tree.take(examples, slice(1)))["params"]
        params["filters"]["kernel"] = jnp.where(is_designed, designed(), params["filters"]["kernel"])
        return TrainState.create({"params": params, "learned": is_learned}, optimizer, key)

    @jax.jit
    @jax.vmap
    def evaluate(params: PyTree) -> Array:
        return metrics.accuracy(FilterNetwork().apply({"params": params}, test["image"]), test["label"])

    state, history = train_on_samples(
        make_step(loss, optimizer),
        jax.jit(jax.vmap(create))((keys, is_designed, is_learned)),
        examples,
        np.tile(orders(len(examples["label"]), seeds, seed=config.seed), (len(WAYS), 1)),
        epochs=config.epochs,
        batch_size=min(BATCH, len(examples["label"])),
        seed=config.seed,
        evaluate=lambda state: {"accuracy": np.asarray(evaluate(state.params))},
    )
    accuracies = evaluations(history, "accuracy")
    kernels = np.asarray(state.params["filters"]["kernel"][::seeds])
    return accuracies.reshape(len(accuracies), len(WAYS), seeds).swapaxes(0, 1), kernels


def statements(found: dict[str, np.ndarray]) -> Iterator[Statement]:
    """State the accuracies of learned filters against fixed ones."""
    for fixed in ("designed, fixed", "random, fixed"):
        for learned in ("learned", "learned from designed"):
            statement = f"filters {learned} beat {fixed.replace(',', ' and')} ones"
            measure, gained = f"accuracy more, of {found[fixed].mean():.3f}", found[learned] - found[fixed]
            yield Statement(35, statement, measure, gained, within=(-1, 1))
