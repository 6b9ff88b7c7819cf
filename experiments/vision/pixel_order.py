"""A fixed permutation of the pixels: a multi-layer perceptron does not notice it, a convolutional network does.

    python -m experiments run pixel_order

An MLP with a hidden layer of 128 units, and two 3x3 convolutions (16 and 32 channels), each with max-pooling 2x2, and a
linear layer, learn scikit-learn's digits as they are, and with their 64 pixels in one random order, the same for all
images, in training and in the test. To the MLP the order is only a name of its weights; neighbours mean nothing any
more to the CNN. The bounds: the accuracies of the MLP differ by less than 0.01 on average, the CNN loses accuracy, and
on digits as they are the CNN is better. 12 seeds, Adam at 0.002, 500 digits in training.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np
from flax import linen

from experiments.harness.claims import Statement, judge_all
from experiments.harness.errors import preparing
from experiments.harness.members import Repeated, evaluations, orders, train_on_samples
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.vision import drawings
from jaxdl import data, models, optim, tasks, tree
from jaxdl.metrics import accuracy
from jaxdl.nn import Conv, max_pool
from jaxdl.train import TrainState, make_step
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

CLAIMS = (34,)
RATE, BATCH, SAME = 2e-3, 64, 0.01
ORDERS = ("as they are", "permuted")


class CNN(linen.Module):
    """Two convolutions with pooling, and a linear layer."""

    @linen.compact
    def __call__(self, x: ArrayLike, train: bool = False) -> Array:
        """Return the logits ``[B, 10]`` of images ``[B, 8, 8, 1]``."""
        for channels in (16, 32):
            x = max_pool(linen.relu(Conv(channels, (3, 3), padding="same")(x)), 2)
        return linen.Dense(10)(x.reshape(len(x), -1))


NETWORKS: dict[str, linen.Module] = {"MLP": models.MLP(hidden_sizes=(128,)), "CNN": CNN()}


@dataclass(frozen=True)
class Config(Repeated):
    """Two networks on digits with and without the order of the pixels."""

    SMOKE = {"seeds": 2, "epochs": 1, "examples": 32}

    seeds: int = 12
    epochs: int = 25
    examples: int = 500
    """Digits in training, of 1,437."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both networks on both orders, judge, draw."""
    with preparing():
        dataset = data.digits()
    order = np.random.default_rng(config.seed).permutation(64)
    learned = {name: array[: config.examples] for name, array in dataset.train.items()}
    both = {name: in_both_orders(part, order) for name, part in (("train", learned), ("test", dataset.test))}
    found = {
        (name, kind): curves
        for name, network in NETWORKS.items()
        for kind, curves in zip(ORDERS, train_both(config, network, **both), strict=True)
    }
    judge_all(run, statements({key: curve[-1] for key, curve in found.items()}))
    shown = learned["image"][:8]
    run.figure("orders", drawings.draw_orders(found, shown, permute(shown, order)))
    return means(accuracy={key: curve[-1] for key, curve in found.items()})


def permute(images: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Put the pixels of images ``[N, 8, 8, 1]`` in another order."""
    return images.reshape(len(images), 64)[:, order].reshape(images.shape)


def in_both_orders(part: Batch, order: np.ndarray) -> Batch:
    """Return the examples as they are, and behind them with permuted pixels."""
    both = np.concatenate([part["image"], permute(part["image"], order)])
    return {"image": both, "label": np.tile(part["label"], 2)}


def train_both(config: Config, network: linen.Module, train: Batch, test: Batch) -> np.ndarray:
    """Train a network for every seed on both orders, with equal weights; return accuracies ``[2, epochs, seeds]``.

    The examples in the other order are the second half of both parts.
    """
    task, optimizer = tasks.classification(network), optim.adam(RATE)
    count, seeds = len(train["label"]) // 2, config.seeds
    samples = np.tile(orders(count, seeds, seed=config.seed), (2, 1)) + np.repeat([0, count], seeds)[:, None]
    keys = jax.random.split(jax.random.key(config.seed), seeds)
    first = tree.take(train, slice(1))

    def create(key: Key) -> TrainState:
        return TrainState.create(task.init(key, first), optimizer, key)

    states = init_each(create, keys[np.tile(np.arange(seeds), 2)])
    halves = {name: array.reshape(2, -1, *array.shape[1:]) for name, array in test.items()}

    @jax.jit
    def evaluate(params: PyTree) -> Array:
        params = jax.tree.map(lambda leaf: leaf.reshape(2, seeds, *leaf.shape[1:]), params)
        of_seed = jax.vmap(lambda p, x, y: accuracy(network.apply({"params": p}, x), y), (0, None, None))
        return jax.vmap(of_seed)(params, halves["image"], halves["label"])

    _, history = train_on_samples(
        make_step(task.loss, optimizer),
        states,
        train,
        samples,
        epochs=config.epochs,
        batch_size=min(BATCH, count),
        seed=config.seed,
        evaluate=lambda state: {"accuracy": np.asarray(evaluate(state.params))},
    )
    return evaluations(history, "accuracy").swapaxes(0, 1)


def statements(found: dict[tuple[str, str], np.ndarray]) -> Iterator[Statement]:
    """State the effect of the order on both networks."""
    lost = {name: found[name, "as they are"] - found[name, "permuted"] for name in NETWORKS}
    same = SAME - np.abs(lost["MLP"])
    yield Statement(34, "an MLP does not notice a permutation", f"{SAME} minus the difference of accuracies", same)
    yield Statement(
        34, "a CNN loses accuracy by it", "accuracy, as they are minus permuted", lost["CNN"], within=(-1, 1)
    )
    yield Statement(34, "it loses more than the MLP", "accuracy, loss of CNN minus MLP", lost["CNN"] - lost["MLP"])
    better = found["CNN", "as they are"] - found["MLP", "as they are"]
    yield Statement(34, "on pixels in order the CNN is better", "accuracy, CNN minus MLP", better, within=(-1, 1))
