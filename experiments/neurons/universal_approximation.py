"""One hidden layer approximates any continuous function: the error falls with the number of units.

    python -m experiments run universal_approximation

Networks with 1 to 64 hidden units are fitted to sin(2 pi x) + cos(5 pi x) / 2 from 16 random initializations each. For
comparison, towers, each the difference of two steep sigmoids, are constructed without training; their error shows that
the width alone suffices.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.learning import check_learned, fit_one_batch
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl import losses, models, optim
from jaxdl.models import neurons
from jaxdl.optim import schedules
from jaxdl.typing import Array, Batch, Key, PyTree

GOAL = {"rms_error": 0.05, "towers_error": 0.07}
LOW, HIGH = -1.0, 1.0
POINTS = np.linspace(LOW, HIGH, 500, dtype=np.float32)


@dataclass(frozen=True)
class Config(configuration.Config):
    """Networks with one hidden layer of tanh units, fitted to one function."""

    SMOKE = {"seeds": 2, "steps": 2, "widths": (1, 2)}

    seeds: int = 16
    """Independent runs at each width."""
    steps: int = 4000
    """Updates, each on all training points."""
    widths: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of hidden units."""
    points: int = 128
    """Training points, evenly spaced."""
    learning_rate: float = 0.02
    """Largest learning rate of Adam, with a cosine decay."""


def target(x: Array) -> Array:
    """Return the function to approximate, ``sin(2 pi x) + cos(5 pi x) / 2``."""
    return jnp.sin(2 * jnp.pi * x) + 0.5 * jnp.cos(5 * jnp.pi * x)


def run(config: Config, run: Run) -> dict[str, float]:
    """Fit networks of every width, construct towers with as many units, and draw both."""
    widths = config.widths
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    wanted = np.asarray(jax.jit(target)(POINTS))
    fits = {width: np.asarray(jax.jit(jax.vmap(make_fit(config, width)))(keys)) for width in widths}
    check_learned(list(fits.values()))
    towers = {2 * count: build(count)[1] for count in widths}
    errors = {width: root_mean_square(fit - wanted[None]) for width, fit in fits.items()}
    tower_errors = {units: float(root_mean_square(built - wanted)) for units, built in towers.items()}
    run.figure("error", drawings.draw_widths(errors, tower_errors))
    run.figure("fits", drawings.draw_fits(POINTS, wanted, fits, errors))
    run.figure("towers", drawings.draw_towers(POINTS, wanted, {count: build(count) for count in (12, 48)}))
    return {
        "rms_error": float(np.median(errors[widths[-1]])),
        "towers_error": tower_errors[2 * widths[-1]],
        **{f"rms_error_{width}_units": float(np.median(error)) for width, error in errors.items()},
    }


def make_fit(config: Config, width: int) -> Callable[[Key], Array]:
    """Make the function that fits a network of this width and returns its outputs at all points."""
    model = models.create("mlp", hidden_sizes=(width,), num_classes=1, activation="tanh")
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, config.steps))
    x = np.linspace(LOW, HIGH, config.points, dtype=np.float32)[:, None]

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        return losses.mean_squared_error(model.apply(variables, batch["x"], train=True), batch["y"]), ({}, {})

    def fit(key: Key) -> Array:
        batch = {"x": x, "y": target(x)}
        state, _ = fit_one_batch(loss, optimizer, model.init(key, x), batch, config.steps, key)
        return model.apply(state.variables, POINTS[:, None], train=False)[:, 0]

    return fit


def build(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Construct towers; return their heights ``[count]`` and their outputs at all points."""

    @jax.jit
    def towers(x: Array) -> tuple[Array, Array]:
        params = neurons.towers(target, LOW, HIGH, count)
        return params["output"]["kernel"][:count], neurons.apply_towers(params, x)

    return jax.device_get(towers(POINTS))


def root_mean_square(error: np.ndarray) -> np.ndarray:
    """Return the root of the mean square over the points."""
    return np.sqrt(np.mean(np.square(error), axis=-1))
