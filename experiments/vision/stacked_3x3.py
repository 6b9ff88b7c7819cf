"""Two 3x3 convolutions in place of one 5x5: the same receptive field and fewer parameters; as accurate?

    python -m experiments run stacked_3x3

Networks that differ in two blocks, on scikit-learn's digits: a 3x3 convolution to 8 maps, a block, max-pooling 2x2, a
block, and a linear layer. A block is one 5x5 convolution, or two 3x3 convolutions, each rectified, with 8 maps; a
third network has one 3x3 convolution per block. 16 seeds, Adam at 0.003, batches of 64, 20 epochs. The receptive field
is given by its formula and by the gradient; fewer parameters are counted over the blocks with their biases. The
accuracy matches if it is lower by less than 1 percentage point.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.members import Repeated, train_in_own_orders
from experiments.harness.plots import plot_mean
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import data, optim, tasks, tree
from jaxdl.nn import Conv, convolve, max_pool, receptive_field
from jaxdl.typing import Array, ArrayLike, Batch

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
        configuration.require(known, "blocks", "'one 5x5', 'two 3x3' and others", self.blocks)


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
        accuracy[name], count[name] = learn(config, Net(BLOCKS[name]), examples, test)
    fields = {name: receptive_field([(size,) for size in BLOCKS[name]]) for name in names}
    seen = {name: side_seen(BLOCKS[name]) for name in names}
    assess(run, accuracy, count, seen)
    run.figure("stacked", draw(accuracy, count))
    last = {name: values[-1] for name, values in accuracy.items()}
    return means(accuracy=last, parameters_of_blocks=count, receptive_field=fields, side_seen=seen)


def learn(config: Config, net: Net, examples: Batch, test: Batch) -> tuple[np.ndarray, int]:
    """Train a network for every seed; return its accuracy after each epoch, and the parameters of its blocks."""
    task, first = tasks.classification(net), tree.take(examples, slice(1))
    measure = jax.jit(jax.vmap(lambda variables: task.measure(variables, test)["accuracy"].value))
    state, history = train_in_own_orders(
        config,
        task.loss,
        optim.adam(RATE),
        lambda key: task.init(key, first),
        examples,
        batch_size=BATCH,
        evaluate=lambda state: {"accuracy": np.asarray(measure(state.variables))},
    )
    count = sum(leaf[0].size for path, leaf in tree.flatten(state.params).items() if path.startswith("block"))
    return np.stack([row["evaluation/accuracy"] for row in history if "evaluation/accuracy" in row]), count


def side_seen(sizes: tuple[int, ...]) -> int:
    """Measure the width of the area in which the gradient of one output of a block is not zero."""

    def middle(x: Array) -> Array:
        for size in sizes:
            x = convolve(x, jnp.ones((size, 1, 1)), padding="same")
        return x[5, 0]

    return int(np.count_nonzero(jax.grad(middle)(jnp.ones((11, 1)))))


def assess(run: Run, accuracy: dict[str, np.ndarray], count: dict[str, int], seen: dict[str, int]) -> None:
    """Judge receptive field, parameters and accuracy."""
    large, small = "one 5x5", "two 3x3"
    last = {name: values[-1] for name, values in accuracy.items()}
    same = np.full(len(last[large]), seen[large] == seen[small], float)
    run.claim(judge(14, "two 3x3 see as much as one 5x5", "1 if their gradients reach as far", same, above=0.5))
    saved = np.full(len(last[large]), 1 - count[small] / count[large])
    run.claim(judge(14, "two 3x3 have fewer parameters", "of the parameters of 5x5 blocks saved", saved))
    gained = last[small] - last[large]
    statement = f"two 3x3 are at most {MARGIN:.0%} less accurate than one 5x5"
    run.claim(judge(14, statement, "test accuracy, two 3x3 minus one 5x5", gained, above=-MARGIN))


def draw(accuracy: dict[str, np.ndarray], count: dict[str, int]) -> Figure:
    """Draw the mean accuracy over the epochs, and the last one of every network against the parameters."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for (name, values), colour in zip(accuracy.items(), COLOURS, strict=False):
        axes[0].plot(np.arange(1, len(values) + 1), values.mean(axis=1), color=colour, label=name)
        axes[1].plot(np.full(len(values[-1]), count[name]), values[-1], ".", color=colour, alpha=0.3)
        plot_mean(axes[1], count[name], values[-1], colour, label=name, within=(0, 1))
    least = min(values[-1].min() for values in accuracy.values())
    axes[0].set(xlabel="epoch", title="Test accuracy, mean of the networks", ylim=(least - 0.05, 1))
    axes[1].set(xlabel="parameters of the blocks", title="Test accuracy of every network after the last epoch")
    axes[1].set_xlim(left=0)
    axes[0].legend(frameon=False, title="in a block", loc="lower right")
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    return figure
