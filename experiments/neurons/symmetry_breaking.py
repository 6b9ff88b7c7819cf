"""With zero initialization the hidden units stay identical: the symmetry is never broken.

    python -m experiments run symmetry_breaking

The same network learns handwritten digits from weights of zero, of one, and from random weights, with many orders of
the batches. Measured are the largest difference between the weights into two hidden units, at every step, and the
accuracy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import check_learned, fit_batches, training_digits
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl import models, optim, tasks, train, tree
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (6,)
STARTS = ("random", "zeros", "ones")


@dataclass(frozen=True)
class Config(configuration.Config):
    """A network with one hidden layer of sigmoid units, trained by stochastic gradient descent."""

    SMOKE = {"seeds": 2, "steps": 2, "hidden_size": 4, "batch_size": 4}
    FORMER = {"hidden": "hidden_size"}
    LEAST = {"seeds": 2, "hidden_size": 2}

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


def run(config: Config, run: Run) -> dict[str, float]:
    """Train from every initialization and compare the hidden units."""
    model = models.create("mlp", hidden_sizes=(config.hidden_size,), num_classes=10, activation="sigmoid")
    learn_one = partial(learn, config, tasks.classification(model), training_digits())
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    measured = jax.device_get(jax.jit(jax.vmap(learn_one, out_axes=1))(keys))
    check_learned(measured["loss"])
    found = {name: tree.take(measured, i) for i, name in enumerate(STARTS)}
    judge_all(run, statements(found))
    run.figure("learning", drawings.draw_symmetry(found))
    run.figure("units", drawings.draw_units(found))
    return means(
        accuracy={name: each["final"] for name, each in found.items()},
        largest_difference={name: np.max(each["difference"]) for name, each in found.items()},
    )


def learn(config: Config, task: tasks.Task, examples: Batch, key: Key) -> dict[str, Array]:
    """Train from every initialization on the same batches and record the hidden units."""
    init_key, order_key = jax.random.split(key)
    batches = jax.random.randint(order_key, (config.steps, config.batch_size), 0, len(examples["label"]))

    def follow(state: train.TrainState) -> dict[str, Array]:
        """Return the largest difference between the weights of two units for the same pixel."""
        kernel = units(state.params, config.hidden_size)
        return {"difference": jnp.max(jnp.max(kernel, axis=1) - jnp.min(kernel, axis=1))}

    def from_start(variables: PyTree) -> dict[str, Array]:
        optimizer = optim.sgd(config.learning_rate)
        state, curves = fit_batches(task.loss, optimizer, variables, examples, batches, follow=follow)
        final = task.measure(state.variables, examples)["accuracy"].value
        return {**curves, "final": final, "units": units(state.params, config.hidden_size)}

    variables = task.init(init_key, tree.take(examples, slice(1)))
    return jax.vmap(from_start)(tree.stack([fill(name, variables) for name in STARTS]))


def fill(name: str, variables: PyTree) -> PyTree:
    """Fill the kernels with zeros or ones, or leave them random; the biases are 0."""
    if name == "random":
        return variables
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, float(name == "ones" and leaf.ndim > 1)), variables)


def units(params: PyTree, hidden: int) -> Array:
    """Return the weights from the 64 pixels into the hidden units, ``[64, hidden]``."""
    return next(leaf for leaf in tree.flatten(params).values() if leaf.shape == (64, hidden))


def statements(found: dict[str, dict[str, np.ndarray]]) -> Iterator[Statement]:
    """State the three parts of the claim."""
    for name in STARTS[1:]:
        same = np.all(found[name]["difference"] == 0, axis=1)
        statement = f"initialised with {name}, the hidden units stay exactly alike"
        yield Statement(6, statement, "share of runs without any difference at any step", same, above=0.5)
    gained = found["random"]["difference"][:, -1] - found["zeros"]["difference"][:, -1]
    measure = "largest difference of two units' weights, random minus zeros"
    yield Statement(6, "random initialisation breaks the symmetry", measure, gained)
    gained = found["random"]["final"] - found["zeros"]["final"]
    statement = "a network that stays symmetric learns less"
    yield Statement(6, statement, "training accuracy, random minus zeros", gained, within=(-1, 1))
