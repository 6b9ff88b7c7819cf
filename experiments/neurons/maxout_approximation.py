"""Two maxout units approximate any continuous function, as the difference of two convex ones.

    python -m experiments run maxout_approximation

Random functions on [-1, 1], scaled to values from 0 to 1: smooth ones of eight sines, and rough ones, walks of 1,000
steps, whose slope is nowhere bounded. Two maxout units are constructed so that their difference interpolates the
function; others of as many pieces learn it by Adam. The claim is reproduced if the largest error of the constructed
units falls from each number of pieces to four times as many, for both kinds, and is below 0.02 for smooth functions and
0.2 for rough ones with the most pieces.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import check_learned, fit_one_batch
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl import losses, optim
from jaxdl.models import neurons
from jaxdl.nn.activations import maxout
from jaxdl.optim import schedules
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (36,)
X = np.linspace(-1, 1, 1001, dtype=np.float32)
BOUNDS = {"smooth": 0.02, "rough": 0.2}


@dataclass(frozen=True)
class Config(configuration.Config):
    """Random functions of one number."""

    SMOKE = {"seeds": 2, "steps": 2, "pieces": (2, 8)}
    LEAST = {"seeds": 2}

    seeds: int = 12
    """Functions of each kind."""
    steps: int = 2000
    """Updates of the learned units."""
    learning_rate: float = 0.02
    """Largest learning rate of Adam, with a cosine decay."""
    pieces: tuple[int, ...] = (4, 16, 64)
    """Pieces of each unit."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Construct and learn units of all sizes, judge, draw."""
    random = np.random.default_rng(config.seed)
    functions = {"smooth": draw_smooth(random, config.seeds), "rough": draw_rough(random, config.seeds)}
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found: dict[str, dict[str, np.ndarray]] = {}
    measures = [jax.jit(jax.vmap(partial(errors, config, pieces))) for pieces in config.pieces]
    for name, values in functions.items():
        both = [measure(keys, values) for measure in measures]
        found[name] = {kind: np.stack([each[kind] for each in both]) for kind in ("constructed", "learned")}
        check_learned(list(found[name].values()))
    judge_all(run, statements(config.pieces, found))
    shown = config.pieces[len(config.pieces) // 2]
    units = np.asarray(jax.jit(partial(parts, pieces=shown))(functions["smooth"][0]))
    run.figure("units", drawings.draw_maxout(X, functions["smooth"][0], units, shown))
    run.figure(
        "pieces", drawings.draw_pieces(config.pieces, found["smooth"]["constructed"], found["smooth"]["learned"])
    )
    tables = {
        f"{name}_{kind}_error": dict(zip(config.pieces, values, strict=True))
        for name, kinds in found.items()
        for kind, values in kinds.items()
    }
    return means(**tables)


def draw_smooth(random: np.random.Generator, count: int) -> np.ndarray:
    """Draw sums of eight sines, ``[count, 1001]`` from 0 to 1."""
    frequency, phase, size = random.uniform([[0.5], [0], [0.1]], [[3], [2 * np.pi], [1]], (count, 3, 8)).swapaxes(0, 1)
    waves = np.sin(np.pi * frequency[..., None] * X + phase[..., None])
    return scale(np.sum(size[..., None] * waves, axis=1))


def draw_rough(random: np.random.Generator, count: int) -> np.ndarray:
    """Draw random walks, ``[count, 1001]`` from 0 to 1."""
    return scale(np.cumsum(random.normal(size=(count, len(X))), axis=1))


def scale(values: np.ndarray) -> np.ndarray:
    """Scale every row to values from 0 to 1."""
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return ((values - low) / (high - low)).astype(np.float32)


def construct(values: Array, pieces: int) -> PyTree:
    """Construct the units of a function that is given by its values at all points."""
    return neurons.maxout_pair(lambda x: jnp.interp(x, X, values), -1.0, 1.0, pieces)


def parts(values: Array, pieces: int) -> Array:
    """Return both constructed units at all points, ``[2, 1001]``."""
    params = construct(values, pieces)
    return maxout(X[:, None] * params["kernel"] + params["bias"][None], pieces).T


def errors(config: Config, pieces: int, key: Key, values: Array) -> dict[str, Array]:
    """Return the largest errors of constructed and of learned units."""

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        outputs = neurons.apply_maxout_pair(variables["params"], batch["x"])
        return losses.mean_squared_error(outputs, batch["y"]), ({}, {})

    kernel = jax.random.normal(key, (1, 2 * pieces))
    bias = -kernel[0] * jax.random.uniform(key, (2 * pieces,), minval=-1.0)  # each line has its zero in [-1, 1]
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, config.steps))
    batch, start = {"x": jnp.asarray(X[:, None]), "y": values}, {"params": {"kernel": kernel, "bias": bias}}
    state, _ = fit_one_batch(loss, optimizer, start, batch, config.steps, key)
    found = {"constructed": construct(values, pieces), "learned": state.params}
    return {
        name: jnp.max(jnp.abs(neurons.apply_maxout_pair(params, batch["x"]) - values)) for name, params in found.items()
    }


def statements(pieces: tuple[int, ...], found: dict[str, dict[str, np.ndarray]]) -> Iterator[Statement]:
    """State the fall of the error, and the error with the most pieces."""
    for name, kinds in found.items():
        error = kinds["constructed"]
        for i in range(len(pieces) - 1):
            statement = f"{name} functions: {pieces[i + 1]} pieces are better than {pieces[i]}"
            yield Statement(36, statement, f"largest error less, of {error[i].mean():.3g}", error[i] - error[i + 1])
        statement = f"{name} functions: two units of {pieces[-1]} pieces suffice"
        yield Statement(36, statement, f"below the bound {BOUNDS[name]} by", BOUNDS[name] - error[-1])
