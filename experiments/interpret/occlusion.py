"""Occlusion maps: how far a score falls where a window hides the image, for windows of several sizes.

    python -m experiments run occlusion

A small network learns scikit-learn's digits at 32 x 32; test digits are covered by a grey or black window at every
place, with the windows of a map evaluated in chunks by ``vmap``. ``correlation`` is the mean correlation of a map with
integrated gradients, smoothed by the same window. ``fall`` is the largest mean fall of the logit under a single window,
and ``changed`` the share of digits for which some window changes the class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.interpret.maps import attribution_grid
from experiments.harness.interpret.networks import Looking, digits, train_digits
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import interpret
from jaxdl.nn import average_pool
from jaxdl.typing import Array


@dataclass(frozen=True)
class Config(Looking):
    """Windows of several sizes."""

    SMOKE = {"epochs": 0, "examples": 2, "windows": (16,), "baselines": (0.0,)}

    windows: tuple[int, ...] = (3, 5, 9)
    """Sizes of the window."""
    baselines: tuple[float, ...] = (0.0, 0.5)
    """Brightness of the window."""
    examples: int = 8
    """Number of digits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.require(min(self.windows) >= 1, "windows", ">= 1", self.windows)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, occlude with every window, compare with integrated gradients, draw."""
    network, x = train_digits(config, run), digits(run).test["image"][: config.examples]

    @jax.jit
    def logits(x: Array) -> Array:
        return network(x)

    chosen = jnp.argmax(logits(x), axis=1)
    score = interpret.target_score(logits, chosen)
    maps, correlations, falls, changed = {}, {}, {}, {}
    gradients = jax.jit(lambda x: interpret.integrated_gradients(score, x)[0])(x)
    for window in config.windows:
        for baseline in config.baselines:
            name = f"{window} x {window}, {baseline:g}"
            explain = partial(interpret.occlusion, score, window=window, stride=max(1, window // 4), baseline=baseline)
            maps[name] = np.asarray(jax.jit(explain)(x))
            correlations[window, baseline] = correlation(
                maps[name], average_pool(gradients, window, stride=1, padding="same")
            )
            falls[window, baseline], changed[window, baseline] = hide(logits, x, chosen, window, baseline)
    run.figure("maps", attribution_grid(x, maps | {"integrated gradients": np.asarray(gradients)}))
    return means(correlation=correlations, fall=falls, changed=changed)


def correlation(a: Array, b: Array) -> float:
    """Return the mean correlation of two maps of each example."""
    pairs = zip(np.reshape(a, (len(a), -1)), np.reshape(b, (len(b), -1)), strict=True)
    return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))


def hide(
    logits: Callable[[Array], Array], x: np.ndarray, classes: Array, window: int, baseline: float
) -> tuple[float, float]:
    """Return the mean of the largest fall of the logit, and the share of changed classes, over all single windows."""

    @jax.jit
    def cover(start: Array) -> tuple[Array, Array]:
        rows, columns = ((jnp.arange(x.shape[1]) - place) // window == 0 for place in start)
        changed = logits(jnp.where((rows[:, None] & columns[None])[None, ..., None], baseline, x))
        return jnp.take_along_axis(changed, classes[:, None], axis=1)[:, 0], jnp.argmax(changed, axis=1) != classes

    before = jnp.take_along_axis(logits(x), classes[:, None], axis=1)[:, 0]
    places = range(0, x.shape[1] - window + 1, max(1, window // 2))
    found = [cover(jnp.array([y, z])) for y in places for z in places]
    falls, changed = (np.stack(part) for part in zip(*found, strict=True))
    return float(np.mean(np.max(before[None] - falls, axis=0))), float(np.mean(np.any(changed, axis=0)))
