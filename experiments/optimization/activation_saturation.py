"""Sigmoid units saturate; ReLU units learn faster, but die at rates that leaky ones survive.

    python -m experiments run activation_saturation

Networks with three hidden layers learn handwritten digits by gradient descent at seven learning rates from 0.01 to 10,
each with one activation, the initialization made for it (Xavier; He for the rectified ones) and gradients clipped to
norm 1. The best rate of an activation has the smallest mean loss over the run, in other runs than those that are
judged. An activation is saturated where its slope is below a twentieth of the largest; a unit is dead where its slope
is 0 for all examples. The high rate is ten times the best one of ReLU.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS, plot_by_rate, plot_runs, smooth
from experiments.harness.learning import best_rate, draw_batches, fit_batches
from experiments.harness.run_folder import Run
from experiments.harness.seeds import he, initialize, xavier
from jaxdl import data, metrics, models, optim, tasks, tree
from jaxdl.nn import activations
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (7,)
LEAK = 0.1
ACTIVATIONS = {
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "relu": activations.relu,
    "leaky": lambda a: activations.leaky_relu(a, LEAK),
}
SLOPES = {
    "sigmoid": lambda h: 4 * h * (1 - h),
    "tanh": lambda h: 1 - jnp.square(h),
    "relu": lambda h: (h > 0).astype(h.dtype),
    "leaky": lambda h: jnp.where(h > 0, 1, LEAK),
}
"""The slopes as functions of the output of a unit, relative to the largest."""
VARIANCES = {"sigmoid": xavier, "tanh": xavier, "relu": he, "leaky": he}
RATES = tuple((10 ** np.arange(-2, 1.1, 0.5)).tolist())
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Networks with three hidden layers, trained by stochastic gradient descent with clipped gradients."""

    SMOKE = {"seeds": 2, "search_seeds": 1, "steps": 2, "rates": RATES[::6], "hidden_size": 4, "batch_size": 4}
    FORMER = {"width": "hidden_size"}
    LEAST = {"seeds": 2, "search_seeds": 1, "hidden_size": 1, "steps": 1, "batch_size": 1}

    seeds: int = 12
    """Independent runs at each rate that are measured."""
    search_seeds: int = 4
    """Other runs, which choose the best rates."""
    rates: tuple[float, ...] = RATES
    """Learning rates."""
    hidden_size: int = 32
    """Units in a hidden layer."""
    steps: int = 400
    """Updates."""
    batch_size: int = 64
    """Examples in an update."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with every activation at every rate, and compare."""
    with preparing():
        examples = jax.device_put(dict(data.load("digits").train))
    rates, search = np.array(config.rates), config.search_seeds
    runs = search + config.seeds
    batches = draw_batches(config.seed, examples, (runs, config.steps, config.batch_size))
    over_seeds = jax.vmap(make_learn(config, examples), (None, None, 0, 0))
    learn = jax.jit(jax.vmap(over_seeds, (None, 0, None, None)))
    found = {}
    for kind, name in enumerate(ACTIVATIONS):
        random, model = np.random.default_rng(config.seed), make_model(config, "relu")
        start = initialize(random, model, examples["image"][:1], runs, VARIANCES[name])
        found[name] = jax.device_get(learn(kind, rates, start, batches))
    best = {name: best_rate(values["loss"][:, :search].mean(axis=2)) for name, values in found.items()}
    found = {name: tree.take(values, (slice(None), slice(search, None))) for name, values in found.items()}
    high = min(best["relu"] + 2, len(rates) - 1)  # ten times the rate, two steps of the grid
    assess(run, found, best, high)
    run.figure("activations", draw(rates, found, best, high))
    run.figure("saturation", draw_saturation(found["sigmoid"], best["sigmoid"]))
    return {
        **{f"best_rate_{name}": float(rates[best[name]]) for name in found},
        **{f"loss_over_run_{name}": float(np.mean(found[name]["loss"][best[name]])) for name in found},
        "saturated_sigmoids": float(np.mean(found["sigmoid"]["saturated"][best["sigmoid"]])),
        "dead_relu_best_rate": float(np.mean(found["relu"]["dead"][best["relu"]])),
        **{f"dead_{name}_high_rate": float(np.mean(found[name]["dead"][high])) for name in ("relu", "leaky")},
        **{f"accuracy_{name}_high_rate": float(np.mean(found[name]["accuracy"][high])) for name in ("relu", "leaky")},
    }


def make_learn(config: Config, examples: Batch) -> Callable[..., dict[str, Array]]:
    """Make the function that trains with the activation of an index, so that one program has all."""

    def learn(kind: Array, rate: Array, variables: PyTree, batches: Array) -> dict[str, Array]:
        model = make_model(config, lambda a: jax.lax.switch(kind, list(ACTIVATIONS.values()), a))
        task = tasks.classification(model)
        optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.sgd(rate))

        def slopes(variables: PyTree) -> tuple[Array, Array]:
            """Return the slopes of all hidden units ``[3, N, width]``, and the accuracy."""
            logits, features = model.apply(variables, examples["image"], train=False, return_intermediates=True)
            h = jnp.stack(list(features.values()))
            return jax.lax.switch(kind, list(SLOPES.values()), h), metrics.accuracy(logits, examples["label"])

        state, learned = fit_batches(task.loss, optimizer, variables, examples, batches)
        before, _ = slopes(variables)
        after, accuracy = slopes(state.variables)
        return {
            "loss": learned["loss"],
            "accuracy": accuracy,
            "saturated_before": jnp.mean(before < 0.05, axis=(1, 2)),
            "saturated": jnp.mean(after < 0.05, axis=(1, 2)),
            "dead": jnp.mean(jnp.all(after == 0, axis=1)),
            "slopes": jnp.stack([before[:, ::50, ::4], after[:, ::50, ::4]]),
        }

    return learn


def make_model(config: Config, activation: str | activations.Activation) -> linen.Module:
    """Make the network."""
    return models.create("mlp", hidden_sizes=(config.hidden_size,) * 3, num_classes=10, activation=activation)


def assess(run: Run, found: Found, best: dict[str, int], high: int) -> None:
    """Judge the parts of the claim, each by one number for every seed."""
    at_best = {name: tree.take(values, best[name]) for name, values in found.items()}
    sigmoid = at_best["sigmoid"]
    grown = np.mean(sigmoid["saturated"] - sigmoid["saturated_before"], axis=1)
    run.claim(judge(7, "sigmoid units saturate", "share of saturated activations gained in training", grown))
    loss = {name: np.mean(values["loss"], axis=1) for name, values in at_best.items()}
    for slower in ("sigmoid", "tanh"):
        measure = f"mean loss over the run, {slower} minus ReLU"
        run.claim(judge(7, f"ReLU trains faster than {slower}", measure, loss[slower] - loss["relu"]))
    died = found["relu"]["dead"][high] - at_best["relu"]["dead"]
    run.claim(judge(7, "ReLU units die at high rates", "dead share at ten times the best rate minus at the best", died))
    relu, leaky = (tree.take(found[name], high) for name in ("relu", "leaky"))
    measure = "dead share at that rate, ReLU minus leaky"
    run.claim(judge(7, "leaky ReLU units do not die", measure, relu["dead"] - leaky["dead"]))
    measure = "training accuracy at that rate, leaky minus ReLU"
    run.claim(judge(7, "leaky ReLU still learns where ReLU died", measure, leaky["accuracy"] - relu["accuracy"]))


def draw(rates: np.ndarray, found: Found, best: dict[str, int], high: int) -> Figure:
    """Draw the loss at the best rates, and the accuracy and the dead units by rate."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    for (name, values), colour in zip(found.items(), COLOURS, strict=False):
        label = f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[0], smooth(values["loss"][best[name]], 20), colour, label=label)
        plot_by_rate(axes[1], rates, values["accuracy"], colour, name)
        if name in ("relu", "leaky"):
            plot_by_rate(axes[2], rates, values["dead"], colour, name)
    axes[0].set(yscale="log", xlabel="step", title="Training loss at the best rate")
    axes[0].legend(frameon=False, title="activation, learning rate")
    axes[1].set(ylim=(0, 1.05), title="Final accuracy, mean and deviation")
    axes[1].legend(frameon=False)
    axes[2].axvline(rates[high], color="black", linewidth=0.8, linestyle=":", label="ten times ReLU's best")
    axes[2].set(ylim=(-0.03, 1.05), title="Dead share of the hidden units")
    axes[2].legend(frameon=False)
    return figure


def draw_saturation(values: dict[str, np.ndarray], best: int) -> Figure:
    """Draw the distribution of the slopes of the sigmoids before and after training, by layer."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True)
    before, after = np.moveaxis(values["slopes"][best], 1, 0)
    for layer, axis in enumerate(axes):
        for slopes, label, colour in ((before, "before", COLOURS[2]), (after, "after", COLOURS[0])):
            axis.hist(
                slopes[:, layer].ravel(), np.linspace(0, 1, 41), density=True, alpha=0.6, color=colour, label=label
            )
        axis.axvspan(0, 0.05, color=COLOURS[1], alpha=0.2, label="saturated")
        axis.set(title=f"hidden layer {layer + 1}", xlabel="slope, as a share of 1/4")
    axes[0].set_ylabel("density of the activations")
    axes[0].legend(frameon=False)
    figure.suptitle("Sigmoid units before and after training at their best rate", fontsize=11)
    return figure
