"""Two thin layers in place of a wide one: the error is that of the discarded singular values, and the accuracy stays.

    python -m experiments run low_rank_layer

A network with two hidden layers of 1,000 units learns scikit-learn's digits. Its kernel of 1000 x 1000 is replaced by
the product of 1000 x R and R x 1000, by the singular value decomposition, for several ranks R; then both factors and
the other layers learn on for some epochs. The first figure compares the error of the kernel with the norm of the
discarded singular values, and with the error of the network's logits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.configuration import Config as Base
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from jaxdl import data, generative, models, optim, tasks, train, tree
from jaxdl.typing import Array, ArrayLike, PyTree

GOAL = {"factor_error": 1e-5, "tuned_accuracy_drop_error": 0.005, "share_of_parameters_error": 0.21}
"""Relative difference of the sides of the law; at the rank of a tenth of the units, lost accuracy and parameters."""


@dataclass(frozen=True)
class Config(Base):
    """A wide layer and its factors."""

    SMOKE = {"epochs": 1, "tuned_epochs": 1, "hidden_size": 20, "ranks": (2, 4), "examples": 32}

    hidden_size: int = 1000
    """Units of both hidden layers."""
    ranks: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200)
    """Ranks of the factors; a tenth of the units is among them."""
    epochs: int = 30
    """Passes over the training digits."""
    tuned_epochs: int = 5
    """Further passes after the factorization."""
    batch_size: int = 64
    learning_rate: float = 1e-3
    """Rate of Adam."""
    examples: int | None = None
    """Training digits; all by default."""


class Factored(linen.Module):
    """The network with two layers without activation between them in place of its second hidden layer."""

    hidden_size: int
    rank: int

    @linen.compact
    def __call__(self, x: ArrayLike, train: bool = False) -> Array:
        """Compute the logits ``[B, 10]``."""
        h = linen.relu(linen.Dense(self.hidden_size, name="hidden1")(jnp.reshape(x, (len(jnp.asarray(x)), -1))))
        h = linen.Dense(self.rank, use_bias=False, name="first")(h)
        h = linen.relu(linen.Dense(self.hidden_size, name="second")(h))
        return linen.Dense(10, name="output")(h)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the wide network, factorize its layer with every rank, learn on, measure, draw."""
    with preparing():
        dataset = data.load("digits")
    examples, test = tree.take(dict(dataset.train), slice(config.examples)), dict(dataset.test)
    model = models.create("mlp", hidden_sizes=(config.hidden_size,) * 2, num_classes=10)
    task = tasks.classification(model)
    state = learn(config, run.name, task, examples, task.init(jax.random.key(config.seed), examples), config.epochs)
    params, whole = state["params"], accuracy(task, state, test)
    kernel = np.asarray(params["hidden2"]["kernel"])
    logits, found = model.apply(state, test["image"]), {}
    initial = np.asarray(task.init(jax.random.key(config.seed), examples)["params"]["hidden2"]["kernel"])
    for rank in config.ranks:
        factors = jax.device_get(jax.jit(generative.factorize_kernel, static_argnums=1)(kernel, rank))
        thin, start = Factored(config.hidden_size, rank), split(params, factors)
        thin_task = tasks.classification(thin)
        difference = thin.apply(start, test["image"]) - logits
        tuned = learn(config, f"rank {rank}", thin_task, examples, start, config.tuned_epochs)
        found[rank] = {
            "error": np.linalg.norm(kernel - factors.first @ factors.second) / np.linalg.norm(kernel),
            "discarded": np.linalg.norm(factors.discarded) / np.linalg.norm(kernel),
            "logits": float(jnp.linalg.norm(difference) / jnp.linalg.norm(logits)),
            "accuracy": accuracy(thin_task, start, test),
            "tuned": accuracy(thin_task, tuned, test),
            "parameters": (factors.first.size + factors.second.size) / kernel.size,
        }
    spectra = {"after training": kernel, "at initialization": initial, "their difference": kernel - initial}
    spectra = {name: np.linalg.svd(each, compute_uv=False) for name, each in spectra.items()}
    run.figure("errors", draw_errors(found, spectra))
    run.figure("accuracy", draw_accuracy(found, whole))
    tenth = found[min(config.ranks, key=lambda rank: abs(rank - config.hidden_size / 10))]
    gaps = [abs(row["error"] - row["discarded"]) / row["discarded"] for row in found.values()]
    return {
        "factor_error": float(max(gaps)),
        "accuracy": whole,
        "tuned_accuracy_drop_error": whole - tenth["tuned"],
        "share_of_parameters_error": tenth["parameters"],
        **{f"accuracy_rank_{rank}": row["accuracy"] for rank, row in found.items()},
        **{f"tuned_rank_{rank}": row["tuned"] for rank, row in found.items()},
    }


def learn(
    config: Config, name: str, task: tasks.Task, examples: dict[str, Any], variables: PyTree, epochs: int
) -> PyTree:
    """Train from the given variables, with a progress bar; return the new ones."""
    loader = data.Loader(examples, min(config.batch_size, len(examples["label"])), seed=config.seed)
    optimizer = optim.adam(config.learning_rate)
    variables = jax.tree.map(jnp.array, variables)  # the state is donated
    state = train.TrainState.create(variables, optimizer, jax.random.key(config.seed))
    with train.ProgressBar(loader.batch_size, name) as bar:
        hooks = [train.StopAtNonfinite(), bar]
        state, _ = train.fit(train.make_step(task.loss, optimizer), state, loader, epochs=epochs, hooks=hooks)
    return state.variables


def accuracy(task: tasks.Task, variables: PyTree, test: dict[str, Any]) -> float:
    """Return the accuracy on the test digits."""
    return float(task.measure(variables, test)["accuracy"].value)


def split(params: PyTree, factors: generative.LowRankKernel) -> PyTree:
    """Return the variables of the factored network."""
    second = {"kernel": factors.second, "bias": params["hidden2"]["bias"]}
    kept = {name: params[name] for name in ("hidden1", "output")}
    return {"params": {**kept, "first": {"kernel": factors.first}, "second": second}}


def draw_errors(found: Mapping[int, Mapping[str, Any]], spectra: Mapping[str, np.ndarray]) -> Figure:
    """Plot errors over the rank, and the singular values."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    names = {"error": "kernel", "discarded": "discarded singular values", "logits": "logits of the test digits"}
    for (name, label), colour, style in zip(names.items(), COLOURS, ("o-", "x--", "s-"), strict=False):
        axes[0].plot(list(found), [row[name] for row in found.values()], style, color=colour, label=label, alpha=0.8)
    axes[0].set(xscale="log", xlabel="rank", ylabel="relative error")
    for (name, sigma), colour in zip(spectra.items(), COLOURS, strict=False):
        axes[1].plot(np.arange(1, len(sigma) + 1), sigma, color=colour, label=name)
    axes[1].set(xscale="log", xlabel="number", ylabel="singular value", title="the wide kernel")
    for axis in axes:
        axis.legend(frameon=False)
    return figure


def draw_accuracy(found: Mapping[int, Mapping[str, Any]], whole: float) -> Figure:
    """Plot the accuracy over the share of the parameters."""
    figure, axis = plt.subplots(figsize=(5.5, 3.6))
    share = [row["parameters"] for row in found.values()]
    axis.axhline(whole, color="grey", linestyle=":", label="the wide layer")
    axis.plot(share, [row["accuracy"] for row in found.values()], "o-", color=COLOURS[0], label="factorized")
    axis.plot(share, [row["tuned"] for row in found.values()], "s-", color=COLOURS[1], label="and trained on")
    for x, rank in zip(share, found, strict=True):
        axis.annotate(str(rank), (x, found[rank]["accuracy"]), xytext=(0, -12), textcoords="offset points", fontsize=8)
    axis.set(xscale="log", xlabel="share of the layer's parameters", ylabel="accuracy on test digits")
    axis.legend(frameon=False)
    return figure
