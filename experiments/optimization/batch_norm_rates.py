"""Batch norm allows higher learning rates.

    python -m experiments run batch_norm_rates

A network of seven convolutions and a linear output learns handwritten digits by gradient descent, with batch norm after
each convolution or with a bias instead, at thirteen learning rates from 0.01 to 10. Both start from He's
initialization. A run trains if at least 90 % of its answers are correct over the last tenth of the steps. The claim is
measured by the logarithm of the largest rate at which a seed trains; one place below the grid where none does. The
mean loss over the run is compared, too: at ten times the plain network's best rate, and at each network's own best. A
loss above ln 10, or NaN, counts as ln 10.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from flax import linen

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import draw_batches, learn_at_rate, measure_all_rates, training_digits
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from experiments.optimization import drawings
from jaxdl import optim, tasks
from jaxdl.nn import BatchNorm, Conv
from jaxdl.typing import Array

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
    LEAST = {"seeds": 2}

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
    examples = training_digits()
    rates, seeds = np.array(config.rates, np.float32), config.seeds
    batches = draw_batches(config.seed, examples, (seeds, config.steps, config.batch_size))
    found: Found = {}
    for name in ("plain", "batch norm"):
        model = Network(config.num_filters, config.num_layers, batch_norm=name == "batch norm")
        start = initialize(np.random.default_rng(config.seed), model, np.zeros((1, 8, 8, 1), np.float32), seeds)
        learn = learn_at_rate(tasks.classification(model).loss, optim.sgd, examples)
        found[name] = summarize(measure_all_rates(learn, rates, (start, batches)))
    best = {name: int(np.argmax(-values["mean_loss"].mean(axis=1))) for name, values in found.items()}
    high = min(best["plain"] + HIGHER, len(rates) - 1)
    largest = {name: largest_rate(rates, values["accuracy"]) for name, values in found.items()}
    mean_loss = {name: values["mean_loss"] for name, values in found.items()}
    judge_all(run, statements(mean_loss, largest, best, high))
    run.figure("rates", drawings.draw_batch_norm(rates, found, best, TRAINED))
    return means(
        largest_rate={name: 10 ** logs.mean() for name, logs in largest.items()},
        best_rate={name: rates[at] for name, at in best.items()},
        mean_loss={name: mean_loss[name][at] for name, at in best.items()},
    )


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


def statements(
    loss: dict[str, np.ndarray], largest: dict[str, np.ndarray], best: dict[str, int], high: int
) -> Iterator[Statement]:
    """State the parts of the claim, each by one number for every seed."""
    measure = "decades between the largest rates that train, with batch norm minus without"
    gained = largest["batch norm"] - largest["plain"]
    yield Statement(13, "batch norm allows higher learning rates", measure, gained)
    measure = "mean loss over the run at ten times the plain network's best rate, without batch norm minus with"
    statement = "at a rate that is too high for the plain network, batch norm learns"
    yield Statement(13, statement, measure, loss["plain"][high] - loss["batch norm"][high])
    measure = "mean loss over the run, each at its best rate, without batch norm minus with"
    less = loss["plain"][best["plain"]] - loss["batch norm"][best["batch norm"]]
    yield Statement(13, "with batch norm the network learns faster", measure, less)
