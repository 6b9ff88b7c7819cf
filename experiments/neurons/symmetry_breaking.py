"""With zero initialization the hidden units stay identical: the symmetry is never broken.

    python -m experiments run symmetry_breaking

The same network learns handwritten digits from weights of zero, of one, and from random weights, with many orders of
the batches. Measured are the largest difference between the weights into two hidden units, at every step, and the
accuracy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.learning import check_learned, fit_batches
from experiments.harness.plots import image_rows, plot_smooth_runs
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import data, models, optim, tasks, tree
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (6,)
STARTS = ("random", "zeros", "ones")


@dataclass(frozen=True)
class Config(configuration.Config):
    """A network with one hidden layer of sigmoid units, trained by stochastic gradient descent."""

    SMOKE = {"seeds": 2, "steps": 2, "hidden_size": 4, "batch_size": 4}
    FORMER = {"hidden": "hidden_size"}

    seeds: int = 16
    """Independent runs of each initialization."""
    hidden_size: int = 16
    """Hidden units."""
    steps: int = 1500
    """Updates."""
    batch_size: int = 32
    """Examples in an update."""
    learning_rate: float = 0.5
    """Learning rate."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=2, hidden_size=2, steps=1, batch_size=1)
        configuration.positive(self, "learning_rate")


def run(config: Config, run: Run) -> dict[str, float]:
    """Train from every initialization and compare the hidden units."""
    with preparing():
        examples = jax.device_put(dict(data.load("digits").train))
    model = models.create("mlp", hidden_sizes=(config.hidden_size,), num_classes=10, activation="sigmoid")
    learn = make_run(tasks.classification(model), config, examples)
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    measured = jax.device_get(jax.jit(jax.vmap(learn, out_axes=1))(keys))
    check_learned(measured["loss"])
    found = {name: tree.take(measured, i) for i, name in enumerate(STARTS)}
    assess(run, found)
    run.figure("learning", draw_learning(found))
    run.figure("units", draw_units(found))
    return means(
        accuracy={name: each["final"] for name, each in found.items()},
        largest_difference={name: np.max(each["difference"]) for name, each in found.items()},
    )


def make_run(task: tasks.Task, config: Config, examples: Batch) -> Callable[[Key], dict[str, Array]]:
    """Make the function that trains from every initialization on the same batches and records the hidden units."""

    def learn(key: Key) -> dict[str, Array]:
        init_key, order_key = jax.random.split(key)
        batches = jax.random.randint(order_key, (config.steps, config.batch_size), 0, len(examples["label"]))

        def from_start(variables: PyTree) -> dict[str, Array]:
            state, curves = fit_batches(
                task.loss,
                optim.sgd(config.learning_rate),
                variables,
                examples,
                batches,
                follow=lambda state: {"difference": difference(units(state.params, config.hidden_size))},
            )
            final = task.measure(state.variables, examples)["accuracy"].value
            return {**curves, "final": final, "units": units(state.params, config.hidden_size)}

        variables = task.init(init_key, tree.take(examples, slice(1)))
        return jax.vmap(from_start)(tree.stack([fill(name, variables) for name in STARTS]))

    return learn


def fill(name: str, variables: PyTree) -> PyTree:
    """Fill the kernels with zeros or ones, or leave them random; the biases are 0."""
    if name == "random":
        return variables
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, float(name == "ones" and leaf.ndim > 1)), variables)


def units(params: PyTree, hidden: int) -> Array:
    """Return the weights from the 64 pixels into the hidden units, ``[64, hidden]``."""
    return next(leaf for leaf in tree.flatten(params).values() if leaf.shape == (64, hidden))


def difference(kernel: Array) -> Array:
    """Return the largest difference between the weights of two units for the same pixel."""
    return jnp.max(jnp.max(kernel, axis=1) - jnp.min(kernel, axis=1))


def assess(run: Run, found: dict[str, dict[str, np.ndarray]]) -> None:
    """Judge the three parts of the claim."""
    for name in STARTS[1:]:
        same = np.all(found[name]["difference"] == 0, axis=1)
        statement = f"initialised with {name}, the hidden units stay exactly alike"
        run.claim(judge(6, statement, "share of runs without any difference at any step", same, above=0.5))
    gained = found["random"]["difference"][:, -1] - found["zeros"]["difference"][:, -1]
    statement = "random initialisation breaks the symmetry"
    run.claim(judge(6, statement, "largest difference of two units' weights, random minus zeros", gained))
    gained = found["random"]["final"] - found["zeros"]["final"]
    statement = "a network that stays symmetric learns less"
    run.claim(judge(6, statement, "training accuracy, random minus zeros", gained))


def draw_learning(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the difference of the units and the accuracy over the steps, every seed and the mean."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for axis, measure in zip(axes, ("difference", "accuracy"), strict=True):
        curves = {name: found[name][measure] for name in STARTS}
        plot_smooth_runs(axis, curves, 25, styles=("-", "-", "--"))
    axes[0].set_title("Largest difference of two hidden units' weights")
    axes[1].set(title="Accuracy on the batches", ylim=(0, 1.02))
    axes[0].legend(frameon=False, title="initialised with")
    return figure


def draw_units(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the learned weights of eight hidden units as pictures, in a row for each start."""
    figure = image_rows({name: found[name]["units"][0].T.reshape(-1, 8, 8)[:8] for name in STARTS}, kind="signed")
    figure.suptitle("Weights into eight hidden units after learning: blue is positive, red negative", fontsize=11)
    return figure
