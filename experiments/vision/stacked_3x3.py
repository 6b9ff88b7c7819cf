"""Two 3x3 convolutions in place of one 5x5: the same receptive field and fewer parameters; as accurate?

    python -m experiments run stacked_3x3

Networks that differ in two blocks, on scikit-learn's digits: a 3x3 convolution to 8 maps, a block, max-pooling 2x2, a
block, and a linear layer. A block is one 5x5 convolution, or two 3x3 convolutions, each rectified, with 8 maps; a
third network has one 3x3 convolution per block. 16 seeds, Adam at 0.003, batches of 64, 20 epochs. The receptive field
is given by its formula and by the gradient; fewer parameters are counted over the blocks with their biases. The
accuracy matches if it is lower by less than 1 percentage point.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.claims import Statement, judge_all
from experiments.harness.configuration import require
from experiments.harness.members import Repeated, train_and_test
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.vision import drawings
from jaxdl import data, optim, tasks, tree
from jaxdl.nn import Conv, convolve, max_pool, receptive_field
from jaxdl.typing import Array, ArrayLike

CLAIMS = (14,)
BLOCKS = {"one 5x5": (5,), "two 3x3": (3, 3), "one 3x3": (3,)}
RATE, BATCH, MAPS, MARGIN = 3e-3, 64, 8, 0.01


@dataclass(frozen=True)
class Config(Repeated):
    """Large kernels and stacks of small ones."""

    SMOKE = {"seeds": 2, "epochs": 1, "blocks": tuple(BLOCKS)[:2], "examples": 4}

    blocks: tuple[str, ...] = tuple(BLOCKS)
    """Networks, by their blocks; the first two are compared."""
    examples: int | None = None
    """Examples of the training and of the test set; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = list(self.blocks[:2]) == list(BLOCKS)[:2] and set(self.blocks) <= BLOCKS.keys()
        require(known, "blocks", "'one 5x5', 'two 3x3' and others", self.blocks)


class Block(linen.Module):
    """Convolutions of the given sizes, each rectified."""

    sizes: tuple[int, ...]

    @linen.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Keep the shape of ``[B, H, W, 8]``."""
        for size in self.sizes:
            x = linen.relu(Conv(MAPS, (size, size), padding="same")(x))
        return x


class Net(linen.Module):
    """A convolution, two blocks with pooling between them, and a linear layer."""

    sizes: tuple[int, ...]

    @linen.compact
    def __call__(self, x: ArrayLike, train: bool = False) -> Array:
        """Return the logits ``[B, 10]`` of images ``[B, 8, 8, 1]``."""
        x = linen.relu(Conv(MAPS, (3, 3), padding="same")(x))
        x = max_pool(Block(self.sizes, name="block1")(x), 2)
        x = Block(self.sizes, name="block2")(x)
        return linen.Dense(10)(x.reshape(len(x), -1))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every network, count and measure, judge, draw."""
    names = config.blocks
    dataset = data.digits()
    examples, test = (tree.take(part, slice(config.examples)) for part in (dataset.train, dataset.test))
    accuracy, count = {}, {}
    for name in names:
        task = tasks.classification(Net(BLOCKS[name]))
        state, accuracy[name] = train_and_test(config, task, optim.adam(RATE), examples, test, batch_size=BATCH)
        count[name] = sum(leaf[0].size for path, leaf in tree.flatten(state.params).items() if path.startswith("block"))
    fields = {name: receptive_field([(size,) for size in BLOCKS[name]]) for name in names}
    seen = {name: int(np.count_nonzero(jax.grad(middle)(jnp.ones((11, 1)), BLOCKS[name]))) for name in names}
    last = {name: values[-1] for name, values in accuracy.items()}
    judge_all(run, statements(last, count, seen))
    run.figure("stacked", drawings.draw_stacked(accuracy, count))
    return means(accuracy=last, parameters_of_blocks=count, receptive_field=fields, side_seen=seen)


def middle(x: Array, sizes: tuple[int, ...]) -> Array:
    """Return one output of a block of ones ``[11, 1]``; its gradient is not zero where the output sees the input."""
    for size in sizes:
        x = convolve(x, jnp.ones((size, 1, 1)), padding="same")
    return x[5, 0]


def statements(last: dict[str, np.ndarray], count: dict[str, int], seen: dict[str, int]) -> Iterator[Statement]:
    """State receptive field, parameters and accuracy."""
    large, small = "one 5x5", "two 3x3"
    same = np.full(len(last[large]), seen[large] == seen[small], float)
    yield Statement(14, "two 3x3 see as much as one 5x5", "1 if their gradients reach as far", same, above=0.5)
    saved = np.full(len(last[large]), 1 - count[small] / count[large])
    yield Statement(14, "two 3x3 have fewer parameters", "of the parameters of 5x5 blocks saved", saved)
    measure, gained = "test accuracy, two 3x3 minus one 5x5", last[small] - last[large]
    yield Statement(
        14, f"two 3x3 are at most {MARGIN:.0%} less accurate than one 5x5", measure, gained, -MARGIN, (-1, 1)
    )
