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

import numpy as np
from flax import linen

from experiments.harness.claims import Statement, judge_all
from experiments.harness.errors import preparing
from experiments.harness.members import Repeated, train_and_test
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.vision import drawings
from jaxdl import data, models, optim, tasks
from jaxdl.nn import Conv, max_pool
from jaxdl.typing import Array, ArrayLike, Batch

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
    learned = {name: array[: config.examples] for name, array in dataset.train.items()}
    places = {"as they are": np.arange(64), "permuted": np.random.default_rng(config.seed).permutation(64)}
    found = {
        (name, order): train(config, network, learned, dataset.test, places[order])
        for name, network in NETWORKS.items()
        for order in ORDERS
    }
    judge_all(run, statements({key: curve[-1] for key, curve in found.items()}))
    shown = learned["image"][:8]
    run.figure("orders", drawings.draw_orders(found, shown, permute(shown, places["permuted"])))
    return means(accuracy={key: curve[-1] for key, curve in found.items()})


def permute(images: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Put the pixels of images ``[N, 8, 8, 1]`` in another order."""
    return images.reshape(len(images), 64)[:, order].reshape(images.shape)


def train(config: Config, network: linen.Module, learned: Batch, test: Batch, order: np.ndarray) -> np.ndarray:
    """Train a network for every seed on one order of the pixels; return accuracies ``[epochs, seeds]``."""
    parts = ({**part, "image": permute(part["image"], order)} for part in (learned, test))
    return train_and_test(config, tasks.classification(network), optim.adam(RATE), *parts, batch_size=BATCH)[1]


def statements(found: dict[tuple[str, str], np.ndarray]) -> Iterator[Statement]:
    """State the effect of the order on both networks."""
    lost = {name: found[name, "as they are"] - found[name, "permuted"] for name in NETWORKS}
    same = SAME - np.abs(lost["MLP"])
    yield Statement(34, "an MLP does not notice a permutation", f"{SAME} minus the difference of accuracies", same)
    yield Statement(34, "a CNN loses accuracy by it", "accuracy, as they are minus permuted", lost["CNN"])
    yield Statement(34, "it loses more than the MLP", "accuracy, loss of CNN minus MLP", lost["CNN"] - lost["MLP"])
    better = found["CNN", "as they are"] - found["MLP", "as they are"]
    yield Statement(34, "on pixels in order the CNN is better", "accuracy, CNN minus MLP", better)
