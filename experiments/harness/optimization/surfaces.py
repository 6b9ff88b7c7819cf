"""Test functions of two parameters, and runs of an optimizer from many points on all of them as one program."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.axes import Axes

from experiments.harness.learning import descend
from experiments.harness.optimization.curves import draw_contours
from jaxdl.typing import Array

RATES = np.geomspace(1e-4, 10, 16).astype(np.float32)
SEARCH_STARTS = 8
STARTS = len(RATES) * SEARCH_STARTS  # as many as the search has runs, so that one program does both
FLOOR = 1e-12
DRAWN_SHAPE = np.array([50.0, 1.0, 0.0], np.float32)


class Surface(NamedTuple):
    """A function of ``w [2]`` and of the ravine's shape, the box of initial points, the minimum, and the view."""

    loss: Callable[[Array, Array], Array]
    start: tuple[tuple[float, float], tuple[float, float]]
    minimum: tuple[float, float]
    view: tuple[float, float, float, float]
    drawn_from: tuple[float, float]


def saddle(w: Array, shape: Array) -> Array:
    """Return a valley that a saddle at 0 parts into two."""
    return w[0] ** 2 / 2 + (w[1] ** 2 - 1) ** 2 / 4


def ravine(w: Array, shape: Array) -> Array:
    """Return ``a^2 / (2 condition) + b^2 / 2``, gentle along ``a`` and steep along ``b``, for the axes of the shape.

    ``shape`` is the condition number and the cosine and sine of the angle between ``a`` and the first coordinate.
    """
    condition, cosine, sine = shape
    return (cosine * w[0] + sine * w[1]) ** 2 / (2 * condition) + (cosine * w[1] - sine * w[0]) ** 2 / 2


def beale(w: Array, shape: Array) -> Array:
    """Return Beale's function: steep walls, a flat and curved floor."""
    x, y = w
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(w: Array, shape: Array) -> Array:
    """Return Rosenbrock's function: a bent valley, steep at its sides."""
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


SURFACES = {
    "saddle": Surface(saddle, ((-1.5, -0.05), (1.5, 0.05)), (0.0, 1.0), (-1.6, 1.6, -1.6, 1.6), (-1.4, 0.01)),
    "ravine": Surface(ravine, ((2.0, 0.5), (3.0, 1.5)), (0.0, 0.0), (-3.2, 2.2, -1.8, 1.8), (-2.8, 1.2)),
    "Beale": Surface(beale, ((-1.0, -1.5), (2.0, 1.5)), (3.0, 0.5), (-1.5, 4.2, -2.0, 2.0), (0.7, 1.4)),
    "Rosenbrock": Surface(rosenbrock, ((-2.0, -0.5), (0.0, 2.0)), (1.0, 1.0), (-2.2, 1.6, -0.9, 2.6), (-1.6, 2.0)),
}


class Points(NamedTuple):
    """Initial points ``[S, N, 2]`` on ``S`` surfaces, and the ravine's shape in each, ``[S, N, 3]``."""

    starts: np.ndarray
    shapes: np.ndarray


def starting_points(generator: np.random.Generator, count: int) -> Points:
    """Draw ``count`` initial points on every surface, tiled to the number of runs of a program."""
    low, high = (np.array([surface.start[end] for surface in SURFACES.values()]) for end in (0, 1))
    starts = generator.uniform(low[:, None], high[:, None], (len(SURFACES), count, 2))
    angle = generator.uniform(0, 2 * np.pi, (len(SURFACES), count))
    condition = 10 ** generator.uniform(1, 2, (len(SURFACES), count))
    shapes = np.stack([condition, np.cos(angle), np.sin(angle)], axis=-1)
    valley = list(SURFACES).index("ravine")  # whose box lies along its own axes
    (along, across), (cosine, sine) = starts[valley].T, shapes[valley, :, 1:].T
    starts[valley] = np.stack([cosine * along - sine * across, sine * along + cosine * across], axis=-1)
    return Points(*(np.tile(leaf, (1, STARTS // count, 1)).astype(np.float32) for leaf in (starts, shapes)))


def drawn_points() -> Points:
    """Return the initial points of the figures, tiled to the number of runs of a program."""
    starts = np.array([surface.drawn_from for surface in SURFACES.values()], np.float32)
    return Points(*(np.tile(leaf, (1, STARTS, 1)) for leaf in (starts[:, None], np.tile(DRAWN_SHAPE, (4, 1, 1)))))


def loss_on(number: Array, w: Array, shape: Array) -> Array:
    """Return the loss on the surface of an index."""
    return jax.lax.switch(number, [surface.loss for surface in SURFACES.values()], w, shape)


@jax.jit
def losses_at(w: Array, points: Points) -> Array:
    """Return the losses ``[S, N]`` at points ``w [S, N, 2]``."""
    return jax.vmap(jax.vmap(loss_on, (None, 0, 0)))(jnp.arange(len(SURFACES)), w, points.shapes)


def median_losses(w: np.ndarray, points: Points) -> np.ndarray:
    """Return the median loss on each surface, ``[S]``; a diverged run counts as infinite."""
    losses = np.nan_to_num(np.asarray(losses_at(w, points)), nan=np.inf)
    return np.maximum(np.median(losses, axis=1), FLOOR)


class Runner:
    """One optimizer's program: ``runner(rates, points)`` gives the paths ``[S, N, steps + 1, 2]`` of all its runs."""

    def __init__(self, make: Callable[[Array], optax.GradientTransformation], steps: int):
        def one(number: Array, rate: Array, w: Array, shape: Array) -> Array:
            return descend(lambda w: loss_on(number, w, shape), make(rate), w, steps)

        self.program = jax.jit(jax.vmap(jax.vmap(one, (None, 0, 0, 0))))

    def __call__(self, rates: np.ndarray, points: Points) -> np.ndarray:
        """Run at rates for each surface, ``[S]``, or for each run, ``[S, N]``."""
        rates = np.broadcast_to(rates.reshape(len(SURFACES), -1), points.starts.shape[:2])
        return np.asarray(self.program(np.arange(len(SURFACES)), rates, *points))


def best_rates(runner: Runner, points: Points) -> np.ndarray:
    """Return the rate for each surface, ``[S]``, with the lowest mean logarithm of the last loss."""
    rates = np.tile(np.repeat(RATES, SEARCH_STARTS), (len(SURFACES), 1))  # each rate from all initial points
    last = np.nan_to_num(np.asarray(losses_at(runner(rates, points)[:, :, -1], points)), nan=np.inf)
    logarithms = np.log(np.maximum(last, FLOOR)).reshape(len(SURFACES), len(RATES), SEARCH_STARTS).mean(-1)
    return RATES[logarithms.argmin(axis=1)]


def path_length(path: np.ndarray) -> np.ndarray:
    """Return the length of paths ``[N, T, 2]`` in distances from start to minimum, which is at 0."""
    return np.linalg.norm(np.diff(path, axis=1), axis=-1).sum(axis=1) / np.linalg.norm(path[:, 0], axis=-1)


def draw_surface(axis: Axes, name: str) -> None:
    """Draw the contours of a surface, and its minimum."""
    surface = SURFACES[name]
    draw_contours(axis, lambda w: surface.loss(w, DRAWN_SHAPE), surface.view)
    axis.plot(*surface.minimum, "*", color="black", markersize=13, zorder=3)
    axis.set_title(name)


def distance_to_minimum(path: np.ndarray, name: str) -> np.ndarray:
    """Return the distance from the minimum of a surface along paths ``[N, T, 2]``."""
    return np.linalg.norm(path - np.array(SURFACES[name].minimum), axis=-1)


def along_floor(path: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Return the place along the ravine's floor, ``[N, T]``, in distances of the start from the minimum."""
    place = np.einsum("nti,ni->nt", path, shapes[:, 1:])
    return place / place[:, :1]


def steps_to_cross(floor: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Return the number of steps until a tenth of the way is left; one more than all steps if that is not reached."""
    near = np.abs(floor) < share
    return np.where(near.any(axis=1), near.argmax(axis=1), floor.shape[1])


def step_lengths(runner: Runner, points: Points) -> np.ndarray:
    """Return the length of every step at the rate 0.001, ``[S, N, T]``."""
    rates = np.full(len(SURFACES), 1e-3, np.float32)
    return np.linalg.norm(np.diff(runner(rates, points), axis=2), axis=-1)
