"""Batch norm allows higher learning rates.

    python -m experiments run batch_norm_rates

A network of seven convolutions and a linear output learns handwritten digits by gradient descent, with batch norm after
each convolution or with a bias instead, at thirteen learning rates from 0.01 to 10. Both start from He's
initialization. A run trains if at least 90 % of its answers are correct over the last tenth of the steps. The claim is
measured by the logarithm of the largest rate at which a seed trains; one place below the grid where none does. The
mean loss over the run is compared, too: at ten times the plain network's best rate, and at each network's own best. A
loss above ln 10, or NaN, counts as ln 10.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS, plot_runs, smooth
from experiments.harness.learning import draw_batches, fit_batches
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import data, optim, tasks
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (13,)
RATES = tuple(np.logspace(-2, 1, 13).tolist())
HIGHER = 4  # steps of the grid to ten times the rate
TRAINED = 0.9
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(configuration.Config):
    """A network with and without batch norm at many learning rates."""

    SMOKE = {"seeds": 2, "steps": 2, "rates": RATES[:2], "num_layers": 1, "num_filters": 2, "batch_size": 4}
    FORMER = {"width": "num_filters", "depth": "num_layers"}
    LEAST = {"seeds": 2, "num_filters": 1, "num_layers": 1, "steps": 1, "batch_size": 1}

    seeds: int = 8
    """Independent runs at each rate."""
    rates: tuple[float, ...] = RATES
    """Learning rates."""
    num_filters: int = 8
    """Channels of every convolution."""
    num_layers: int = 7
    """Convolutions, the first of stride 2."""
    steps: int = 600
    """Updates."""
    batch_size: int = 32
    """Examples in an update."""


class Network(linen.Module):
    """Convolutions of 3x3, each with batch norm or a bias, and relu, then a linear output."""

    num_filters: int
    num_layers: int
    batch_norm: bool

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to logits ``[B, 10]``."""
        for i in range(self.num_layers):
            conv = Conv(self.num_filters, (3, 3), 1 if i else 2, 1, use_bias=not self.batch_norm, name=f"conv{i + 1}")
            x = conv(x)
            x = linen.relu(BatchNorm(name=f"norm{i + 1}")(x, train) if self.batch_norm else x)
        return linen.Dense(10, name="output")(x.reshape(x.shape[0], -1))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with and without batch norm at every rate, and compare."""
    with preparing():
        examples = jax.device_put(dict(data.load("digits").train))
    rates, seeds = np.array(config.rates, np.float32), config.seeds
    batches = draw_batches(config.seed, examples, (seeds, config.steps, config.batch_size))
    found: Found = {}
    for name in ("plain", "batch norm"):
        model = Network(config.num_filters, config.num_layers, batch_norm=name == "batch norm")
        learn = jax.vmap(make_learn(model, examples), (None, 0, 0))
        learn = jax.jit(jax.vmap(learn, (0, None, None)))
        image = np.zeros((1, 8, 8, 1), np.float32)
        start = initialize(np.random.default_rng(config.seed), model, image, seeds)
        found[name] = summarize(jax.device_get(learn(rates, start, batches)))
    best = {name: int(np.argmax(-values["mean_loss"].mean(axis=1))) for name, values in found.items()}
    high = min(best["plain"] + HIGHER, len(rates) - 1)
    largest = {name: largest_rate(rates, values["accuracy"]) for name, values in found.items()}
    assess(run, found, largest, best, high)
    run.figure("rates", draw(rates, found, best))
    result = {}
    for name, values in found.items():
        key = name.replace(" ", "_")
        result[f"largest_rate_{key}"] = float(10 ** largest[name].mean())
        result[f"best_rate_{key}"] = float(rates[best[name]])
        result[f"mean_loss_{key}"] = float(values["mean_loss"][best[name]].mean())
    return result


def make_learn(model: Network, examples: Batch) -> Callable[..., dict[str, Array]]:
    """Make the function that trains at a rate, from variables, on batches of indices."""
    task = tasks.classification(model)

    def learn(rate: Array, variables: PyTree, batches: Array) -> dict[str, Array]:
        _, metrics = fit_batches(task.loss, optim.sgd(rate), variables, examples, batches)
        return {name: metrics[name] for name in ("loss", "accuracy")}

    return learn


def summarize(measured: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the losses ``[rates, seeds, steps]``, their means over the run, and the final accuracy."""
    last = slice(-max(1, measured["loss"].shape[-1] // 10), None)
    loss = np.minimum(np.nan_to_num(measured["loss"], nan=np.inf), np.log(10))
    accuracy = np.where(np.isfinite(measured["loss"][..., -1]), measured["accuracy"][..., last].mean(axis=-1), 0.1)
    return {"loss": loss, "mean_loss": loss.mean(axis=-1), "accuracy": accuracy}


def largest_rate(rates: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return, for every seed, the common logarithm of the largest rate that trains."""
    logs = np.where(accuracy >= TRAINED, np.log10(rates)[:, None], np.log10(rates[0]) - 0.25)
    return logs.max(axis=0)


def assess(run: Run, found: Found, largest: dict[str, np.ndarray], best: dict[str, int], high: int) -> None:
    """Judge the parts of the claim, each by one number for every seed."""
    statement = "batch norm allows higher learning rates"
    measure = "decades between the largest rates that train, with batch norm minus without"
    run.claim(judge(13, statement, measure, largest["batch norm"] - largest["plain"]))
    loss = {name: values["mean_loss"] for name, values in found.items()}
    measure = "mean loss over the run at ten times the plain network's best rate, without batch norm minus with"
    statement = "at a rate that is too high for the plain network, batch norm learns"
    run.claim(judge(13, statement, measure, loss["plain"][high] - loss["batch norm"][high]))
    measure = "mean loss over the run, each at its best rate, without batch norm minus with"
    statement = "with batch norm the network learns faster"
    run.claim(judge(13, statement, measure, loss["plain"][best["plain"]] - loss["batch norm"][best["batch norm"]]))


def draw(rates: np.ndarray, found: Found, best: dict[str, int]) -> Figure:
    """Draw accuracy and loss by rate, and the loss over the steps at the best rates."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    for (name, values), colour in zip(found.items(), COLOURS, strict=False):
        for axis, measure in zip(axes, ("accuracy", "mean_loss"), strict=False):
            axis.plot(rates, values[measure], "o", color=colour, markersize=3, alpha=0.4)
            axis.plot(rates, values[measure].mean(axis=1), color=colour, label=name)
        label = f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[2], smooth(values["loss"][best[name]], 10), colour, label=label)
    axes[0].axhline(TRAINED, color="black", linewidth=0.8, linestyle=":")
    axes[0].set(xscale="log", xlabel="learning rate", ylim=(0, 1.05), title="Final accuracy")
    axes[1].set(xscale="log", xlabel="learning rate", title="Mean loss over the run")
    axes[2].set(xlabel="step", title="Loss at the best rates")
    axes[1].legend(frameon=False)
    axes[2].legend(frameon=False, title="network, learning rate")
    return figure
