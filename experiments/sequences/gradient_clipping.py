"""Gradient clipping lets a network with exploding gradients learn at a rate at which it diverges without.

    python -m experiments run gradient_clipping

Vanilla networks of 32 ReLU units with a recurrent kernel of spectral radius 1.5 learn the adding problem over 40 steps
by gradient descent, at eight learning rates, with gradients clipped to norm 1 and without; the control has radius 0.75
and no clipping. A run diverges if its last loss is NaN or above its first. It is judged at the rate that is best with
clipping and at the first one at which most runs without clipping diverge, both chosen by other runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import optax

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.figures import COLOURS
from experiments.harness.learning import fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.recurrent import as_batch, initialize_spectral, readout_loss, squared_error
from experiments.sequences import drawings
from jaxdl import optim
from jaxdl.data.sources import sequences
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (21,)
HIDDEN, SEARCH, WINDOW, LARGEST = 32, 4, 20, 1e6
CELL = cells.Vanilla(HIDDEN, "relu")
RATES = tuple((10 ** np.arange(-4, -0.4, 0.5)).tolist())
VARIANTS = {"without clipping": COLOURS[1], "clipped": COLOURS[0], "small radius, without clipping": COLOURS[2]}
SMALL = 0.75
AT = {"best": "the best rate with clipping", "exploding": "the first rate that explodes without clipping"}
Found = dict[str, np.ndarray]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Vanilla networks on the adding problem, trained by stochastic gradient descent."""

    SMOKE = {"seeds": 2, "steps": 2, "lag": 4, "batch_size": 2, "rates": RATES[::6]}
    LEAST = {"seeds": 2, "lag": 2}
    POSITIVE = ("radius", "max_norm")

    seeds: int = 16
    """Independent runs at each rate that are measured; four others choose the rate."""
    rates: tuple[float, ...] = RATES
    """Learning rates."""
    radius: float = 1.5
    """Spectral radius of the initial recurrent kernel."""
    lag: int = 40
    """Steps of a sequence."""
    max_norm: float = 1.0
    """Norm to which gradients are clipped."""
    steps: int = 400
    """Updates."""
    batch_size: int = 20
    """Sequences in a batch, always new."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with and without clipping at every rate, judge at two rates, draw."""
    rates, runs = np.array(config.rates, np.float32), SEARCH + config.seeds
    keys = jax.random.split(jax.random.key(config.seed), runs)
    start = initialize_spectral(np.random.default_rng(config.seed), 2, HIDDEN, 1, runs)
    radii, norms = np.float32([config.radius, config.radius, SMALL]), np.float32([np.inf, config.max_norm, np.inf])
    over_variants = jax.vmap(partial(learn, config), (None, None, None, 0, 0))
    over_runs = jax.vmap(over_variants, (0, 0, None, None, None), out_axes=1)
    learn_all = jax.jit(jax.vmap(over_runs, (None, None, 0, None, None), out_axes=1))
    found = jax.device_get(learn_all(keys, start, rates, radii, norms))
    first, last = found["loss"][..., 0], final_loss(found["loss"][..., -WINDOW:])
    best = int(np.argmin(np.median(last[1, :, :SEARCH], axis=-1)))
    share = np.mean(diverged(first[0, :, :SEARCH], last[0, :, :SEARCH]), axis=-1)
    chosen = {"best": best, "exploding": int(np.argmax(share > 0.5)) if np.any(share > 0.5) else len(rates) - 1}
    found = {name: values[:, :, SEARCH:] for name, values in found.items()}
    first, last = first[..., SEARCH:], last[..., SEARCH:]
    judge_all(run, statements({name: (first[:, i], last[:, i]) for name, i in chosen.items()}))
    run.figure("rates", drawings.draw_clipping(rates, last, chosen, VARIANTS))
    run.figure("norms", drawings.draw_norms(found, rates, chosen, VARIANTS, LARGEST))
    return {f"rate_{name}": float(rates[i]) for name, i in chosen.items()} | {
        slug(f"{measure}_{name}_{variant}"): float(value)
        for name, i in chosen.items()
        for k, variant in enumerate(VARIANTS)
        for measure, value in (
            ("last_loss", np.median(np.minimum(last[k, i], LARGEST))),
            ("diverged", np.mean(diverged(first[k, i], last[k, i]))),
        )
    }


def learn(config: Config, key: Key, params: PyTree, rate: Array, radius: Array, max_norm: Array) -> dict[str, Array]:
    """Train a network and return losses and norms before and after clipping."""
    loss = readout_loss(CELL, squared_error, lambda h: h[:, -1] / HIDDEN**0.5)
    cell = {**params["cell"], "recurrent_kernel": radius * params["cell"]["recurrent_kernel"]}
    optimizer = optax.chain(optim.clip_by_global_norm(max_norm), optim.sgd(rate))

    def sample(key: Key) -> Batch:
        return as_batch(sequences.adding(key, config.batch_size, config.lag))

    variables, keys = {"params": {**params, "cell": cell}}, jax.random.split(key, config.steps)
    _, metrics = fit_samples(loss, optimizer, variables, sample, keys, key)
    return {"loss": metrics["loss"], "before": metrics["gradient_norm"], "after": metrics["update_norm"] / rate}


def final_loss(loss: np.ndarray) -> np.ndarray:
    """Return the mean over the last dimension, infinite where it is NaN."""
    with np.errstate(over="ignore"):
        return np.nan_to_num(np.mean(loss, axis=-1), nan=np.inf)


def diverged(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return which runs end with NaN or with a higher loss than the first."""
    return ~(last <= np.minimum(first, LARGEST))


def statements(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> Iterator[Statement]:
    """State the parts of the claim by first and last losses ``[variants, seeds]`` at two rates."""
    for name, (first, last) in found.items():
        without, clipped, small = diverged(first, last)
        statement = f"with clipping the loss stays finite and falls at {AT[name]}"
        yield Statement(21, statement, "share of runs", ~clipped, above=0.5)
        statement = f"without clipping training diverges at {AT[name]}"
        yield Statement(21, statement, "share of runs", without, above=0.5)
        statement = f"without exploding gradients it needs no clipping at {AT[name]}"
        yield Statement(21, statement, "share of runs with a small radius that do not diverge", ~small, above=0.5)
        worse = np.log10(np.minimum(last[0], LARGEST)) - np.log10(np.minimum(last[1], LARGEST))
        statement = f"clipping leads to a lower loss at {AT[name]}"
        yield Statement(21, statement, "log10 of the last loss, without minus with clipping", worse)
