"""ReLU is hard to train in recurrent networks: exploding gradients, and an identity for the recurrent weights.

    python -m experiments run relu_recurrence

Vanilla networks of 32 units add two marked numbers among 40, without clipping, each at the best of five learning rates
of Adam, which other runs choose. Recurrent weights are random, with the spectral radius 1, or the identity (Le et al.,
2015); activations are tanh and ReLU. The slope of a unit of ReLU that is on is 1, whatever its input is, while that of
tanh falls as it saturates, so the gradient at initialization is also measured with the radius 1.5, where that of ReLU
is to be more than ten times as long. Errors are those of the last tenth of the updates, relative to the error without
memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import Loss, RateSearch, fit_samples, search_rate_then_measure
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.sequences.recurrent import as_batch, initialize_spectral, readout_loss, squared_error
from experiments.sequences import drawings
from jaxdl import optim, tree
from jaxdl.data.sources import sequences
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (33,)
HIDDEN, RADIUS, WITHOUT_MEMORY, LARGEST = 32, 1.5, 1 / 6, 100.0
VARIANTS = {
    "tanh": ("tanh", False),
    "ReLU": ("relu", False),
    "ReLU, identity": ("relu", True),
    "tanh, identity": ("tanh", True),
}
COMPARED = ("tanh", "ReLU")
Start = tuple[Array, PyTree]
"""The number of a run, and its parameters."""


@dataclass(frozen=True)
class Config(RateSearch):
    """Vanilla networks with two activations and two initializations."""

    SMOKE = {**RateSearch.SMOKE, "lag": 4, "rates": (0.001,), "variants": COMPARED}
    LEAST = {"lag": 2}
    CHOICES = {"variants": (VARIANTS, COMPARED)}

    seeds: int = 15
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    steps: int = 1500
    batch_size: int = 20
    lag: int = 40
    """Steps of a sequence."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Networks; tanh and ReLU must be among them."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every variant at its best rate, measure gradients at initialization, judge, draw."""
    runs = config.search_seeds + config.seeds
    seeds = np.arange(runs)
    random = initialize_spectral(np.random.default_rng(config.seed), 2, HIDDEN, 1, runs)
    identity = np.broadcast_to(np.eye(HIDDEN, dtype=np.float32), (runs, HIDDEN, HIDDEN))
    errors, rates, curves = {}, {}, {}
    for name in config.variants:
        activation, is_identity = VARIANTS[name]
        cell = {**random["cell"], "recurrent_kernel": identity if is_identity else random["cell"]["recurrent_kernel"]}
        learn_one = partial(learn, config, activation)
        start = seeds, {**random, "cell": cell}
        rates[name], found = search_rate_then_measure(
            learn_one, np.array(config.rates, np.float32), start, config.search_seeds, last_error
        )
        curves[name], errors[name] = found["loss"], last_error(found)
    norms = {name: gradient_norms(config, name, seeds, random) for name in COMPARED}
    judge_all(run, statements(errors, norms))
    run.figure("learning", drawings.draw_activations(curves, errors, norms, WITHOUT_MEMORY))
    return means(error=errors, rate=rates, gradient_norm={name: np.median(norm) for name, norm in norms.items()})


def loss_of(activation: str) -> Loss:
    """Make the loss of a network that reads the last state."""
    return readout_loss(cells.Vanilla(HIDDEN, activation), squared_error, lambda h: h[:, -1] / HIDDEN**0.5)


def learn(config: Config, activation: str, rate: Array, start: Start) -> dict[str, Array]:
    """Train a network at a rate; return its losses ``[steps]``."""
    number, params = start
    key = jax.random.fold_in(jax.random.key(config.seed), number)

    def sample(key: Key) -> Batch:
        return as_batch(sequences.adding(key, config.batch_size, config.lag))

    keys = jax.random.split(key, config.steps)
    _, metrics = fit_samples(loss_of(activation), optim.adam(rate), {"params": params}, sample, keys, key)
    return {"loss": metrics["loss"]}


def last_error(curves: dict[str, np.ndarray]) -> np.ndarray:
    """Return the mean loss of the last tenth of the updates, relative to that without memory; at most 100."""
    loss = np.minimum(np.nan_to_num(curves["loss"], nan=np.inf), LARGEST)
    return np.minimum(loss[..., -max(1, loss.shape[-1] // 10) :].mean(axis=-1) / WITHOUT_MEMORY, LARGEST)


def gradient_norms(config: Config, name: str, seeds: np.ndarray, params: PyTree) -> np.ndarray:
    """Return the norm of the first gradient of every run, with the spectral radius 1.5."""
    loss = loss_of(VARIANTS[name][0])

    def norm(number: Array, params: PyTree) -> Array:
        key = jax.random.fold_in(jax.random.key(config.seed), number)
        cell = {**params["cell"], "recurrent_kernel": RADIUS * params["cell"]["recurrent_kernel"]}
        batch = as_batch(sequences.adding(key, config.batch_size, config.lag))
        return tree.norm(jax.grad(lambda p: loss({"params": p}, batch, key)[0])({**params, "cell": cell}))

    return np.asarray(jax.jit(jax.vmap(norm))(seeds, params))


def statements(errors: dict[str, np.ndarray], norms: dict[str, np.ndarray]) -> Iterator[Statement]:
    """State that gradients explode, that training is worse, and the effect of the identity."""
    longer = np.log10(norms["ReLU"]) - np.log10(norms["tanh"])
    yield Statement(
        33, "gradients of ReLU explode where those of tanh do not", "log10 of the norms' ratio", longer, 1.0
    )
    worse, measure = errors["ReLU"] - errors["tanh"], "relative error, more than tanh"
    yield Statement(33, "ReLU learns worse than tanh from random weights", measure, worse)
    if "ReLU, identity" not in errors:
        return
    less = errors["ReLU"] - errors["ReLU, identity"]
    yield Statement(33, "an identity for the recurrent weights helps ReLU", "relative error less", less)
    less = errors["tanh"] - errors["ReLU, identity"]
    yield Statement(
        33, "ReLU with the identity learns better than tanh", "relative error less, from random weights", less
    )
