"""Ten optimizers on a saddle, a ravine, Beale's and Rosenbrock's function, and the claims about them.

    python -m experiments run optimizer_race

Each method runs on each surface at its best of 16 learning rates from 1e-4 to 10, by the mean logarithm of the last
loss from 8 initial points; then 128 others are measured. The ravine has another condition number (10 to 100) and axis
for each of them. The claims are measured at one common rate (ravine: 1 / the largest curvature; Beale: 0.01) and at
each method's best: the steps of momentum to a tenth of the distance along the ravine's floor, and its overshoot; the
length of the path, for oscillation; the distance of AdaGrad and RMSProp to Beale's minimum; and the first step of Adam
with and without bias correction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from jaxdl import optim
from jaxdl.typing import Array

CLAIMS = (1, 2, 3, 4)
RATES = np.geomspace(1e-4, 10, 16).astype(np.float32)
SEARCH_STARTS = 8
STARTS = len(RATES) * SEARCH_STARTS  # as many as the search has runs, so that one program does both
FLOOR = 1e-12
COMMON_RATE = {"saddle": 0.01, "ravine": 1.0, "Beale": 0.01, "Rosenbrock": 1e-3}
COMPARED = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop")
DRAWN_SHAPE = np.array([50.0, 1.0, 0.0], np.float32)
PALETTE = (*COLOURS, "#1a202c", "#718096", "#d69e2e", "#319795", "#e53e3e")
OPTIMIZERS: dict[str, Callable[[Array], optax.GradientTransformation]] = {
    "sgd": optim.sgd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "adagrad": optim.adagrad,
    "rmsprop": optim.rmsprop,
    "adadelta": optim.adadelta,
    "adam": optim.adam,
    "adamax": optim.adamax,
    "maxprop": optim.maxprop,
    "nadam": optim.nadam,
}


def uncorrected_adam(rate: Array) -> optax.GradientTransformation:
    """Build Adam without bias correction: ``m_t / (sqrt(v_t) + eps)``."""
    mean, mean_square = optax.ema(0.9, debias=False), optax.ema(0.999, debias=False)

    def init(params: Array) -> tuple:
        return mean.init(params), mean_square.init(params)

    def update(gradient: Array, state: tuple, params: Array | None = None) -> tuple:
        m, first = mean.update(gradient, state[0])
        v, second = mean_square.update(gradient**2, state[1])
        return m / (jnp.sqrt(v) + 1e-8), (first, second)

    return optax.chain(optax.GradientTransformation(init, update), optim.scale_by_learning_rate(rate))


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


@dataclass(frozen=True)
class Config(configuration.Config):
    """Optimizers on surfaces."""

    SMOKE = {"steps": 4, "frames": 2, "optimizers": (*COMPARED, "adam")}

    steps: int = 500
    """Steps of every run."""
    frames: int = 36
    """Frames of the animation."""
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    """Optimizers; those of the claims and adam must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, steps=2, frames=1)
        needed = {*COMPARED, "adam"}
        known = needed <= set(self.optimizers) <= OPTIMIZERS.keys()
        configuration.require(known, "optimizers", f"{', '.join(sorted(needed))} and others", self.optimizers)


def run(config: Config, run: Run) -> dict[str, float]:
    """Search the learning rates, run all optimizers, judge the claims, draw."""
    steps, names = config.steps, config.optimizers
    runners = {name: Runner(OPTIMIZERS[name], steps) for name in names}
    generator = np.random.default_rng(config.seed)
    search, race = starting_points(generator, SEARCH_STARTS), starting_points(generator, STARTS)
    best = {name: best_rates(runner, search) for name, runner in runners.items()}
    own = {name: runner(best[name], race) for name, runner in runners.items()}
    one = {name: runners[name](np.array([*COMMON_RATE.values()], np.float32), race) for name in COMPARED}
    judge_descent(run, one, race, "one rate")
    judge_descent(run, own, race, "own rates")
    adams = [step_lengths(runner, race) for runner in (Runner(uncorrected_adam, steps), runners["adam"])]
    statement, first = "Adam's bias correction prevents a large first step", [lengths[..., 0] for lengths in adams]
    run.claim(judge(4, statement, "times as long without it", first[0] / first[1], above=1.0))
    run.figure("claims", draw_claims(one, own, race, adams))
    drawn = {name: runner(best[name], drawn_points())[:, 0] for name, runner in runners.items()}
    run.figure("race", draw_race(drawn, best))
    animate(run.directory / "race.gif", drawn, frames=config.frames)
    last = {name: np.log10(median_losses(path[:, :, -1], race)) for name, path in own.items()}
    return {f"{name}_{surface}_log10": float(last[name][i]) for name in names for i, surface in enumerate(SURFACES)}


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
        def descend(number: Array, rate: Array, w: Array, shape: Array) -> Array:
            optimizer = make(rate)

            def step(carry: tuple, _: None) -> tuple:
                w, state = carry
                updates, state = optimizer.update(jax.grad(loss_on, 1)(number, w, shape), state, w)
                w = optax.apply_updates(w, updates)
                return (w, state), w

            _, path = jax.lax.scan(step, (w, optimizer.init(w)), length=steps)
            return jnp.concatenate([w[None], path])

        self.program = jax.jit(jax.vmap(jax.vmap(descend, (None, 0, 0, 0))))

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


def judge_descent(run: Run, found: dict[str, np.ndarray], race: Points, rate: str) -> None:
    """Judge momentum, Nesterov and AdaGrad by their paths."""
    rows, valley = list(SURFACES).index("ravine"), list(SURFACES).index("Beale")
    floor = {name: along_floor(found[name][rows], race.shapes[rows]) for name in COMPARED}
    crossing = {name: steps_to_cross(floor[name]) for name in COMPARED}
    overshoot = {name: np.maximum(0, -floor[name]).max(axis=1) for name in COMPARED}
    length = {name: path_length(found[name][rows]) for name in COMPARED}
    left = {name: beale_distance(found[name][valley])[:, -1] for name in COMPARED}
    for number, statement, measure, samples in (
        (1, "momentum crosses a gentle slope faster", "steps saved", crossing["sgd"] - crossing["momentum"]),
        (1, "momentum overshoots", "of the start's distance, over sgd's", overshoot["momentum"] - overshoot["sgd"]),
        (
            2,
            "Nesterov oscillates less than momentum",
            "distances of path saved",
            length["momentum"] - length["nesterov"],
        ),
        (3, "AdaGrad stalls where RMSProp goes on", "further from the minimum", left["adagrad"] - left["rmsprop"]),
    ):
        run.claim(judge(number, f"{statement} ({rate})", measure, samples))


def beale_distance(path: np.ndarray) -> np.ndarray:
    """Return the distance from Beale's minimum along paths ``[N, T, 2]``."""
    return np.linalg.norm(path - np.array(SURFACES["Beale"].minimum), axis=-1)


def along_floor(path: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Return the place along the ravine's floor, ``[N, T]``, in distances of the start from the minimum."""
    place = np.einsum("nti,ni->nt", path, shapes[:, 1:])
    return place / place[:, :1]


def steps_to_cross(floor: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Return the number of steps until a tenth of the way is left; one more than all steps if that is not reached."""
    near = np.abs(floor) < share
    return np.where(near.any(axis=1), near.argmax(axis=1), floor.shape[1])


def path_length(path: np.ndarray) -> np.ndarray:
    """Return the length of paths ``[N, T, 2]`` in distances from start to minimum, which is at 0."""
    return np.linalg.norm(np.diff(path, axis=1), axis=-1).sum(axis=1) / np.linalg.norm(path[:, 0], axis=-1)


def step_lengths(runner: Runner, race: Points) -> np.ndarray:
    """Return the length of every step at the rate 0.001, ``[S, N, T]``."""
    rates = np.full(len(SURFACES), 1e-3, np.float32)
    return np.linalg.norm(np.diff(runner(rates, race), axis=2), axis=-1)


def draw_race(paths: dict[str, np.ndarray], best: dict[str, np.ndarray]) -> Figure:
    """Draw all paths on each surface's contours."""
    figure, axes = plt.subplots(2, 2, figsize=(13, 9))
    for i, (axis, surface) in enumerate(zip(axes.flat, SURFACES, strict=True)):
        draw_surface(axis, surface)
        for colour, (name, path) in zip(PALETTE, paths.items(), strict=False):
            label = f"{name}, {best[name][i]:.2g}"
            axis.plot(*path[i].T, color=colour, linewidth=1.3, alpha=0.9, label=label)
            axis.plot(*path[i, -1], "o", color=colour, markersize=5, markeredgecolor="white", zorder=4)
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), title="learning rate", frameon=False)
    figure.suptitle(
        f"{paths['sgd'].shape[1] - 1} steps of each method at its best learning rate; the star is a minimum"
    )
    return figure


def draw_surface(axis: Axes, name: str) -> None:
    """Draw the contours of a surface, and its minimum."""
    surface = SURFACES[name]
    left, right, bottom, top = surface.view
    x, y = np.meshgrid(np.linspace(left, right, 160), np.linspace(bottom, top, 160))
    height = np.log10(surface.loss(np.stack([x, y]), DRAWN_SHAPE) + 1e-3)
    greys = plt.get_cmap("Greys")(np.linspace(0.0, 0.45, 14))
    axis.contourf(x, y, height, levels=np.linspace(height.min(), height.max(), 15), colors=greys)
    axis.plot(*surface.minimum, "*", color="black", markersize=13, zorder=3)
    axis.set(title=name, xlim=(left, right), ylim=(bottom, top))
    axis.grid(visible=False)


def draw_claims(
    one: dict[str, np.ndarray], own: dict[str, np.ndarray], race: Points, adams: list[np.ndarray]
) -> Figure:
    """Draw the quantities of the claims, averaged over the runs, at one rate and at each method's best."""
    figure, axes = plt.subplots(1, 4, figsize=(16, 3.8))
    rows, valley = list(SURFACES).index("ravine"), list(SURFACES).index("Beale")
    for axis, (title, found) in zip(axes, (("one rate", one), ("own rates", own)), strict=False):
        for name in ("sgd", "momentum", "nesterov"):
            axis.plot(along_floor(found[name][rows], race.shapes[rows]).mean(0)[:200], label=name)
        axis.set(title=f"along the ravine, {title}", xlabel="step", ylabel="place, 1 the start, 0 the minimum")
        axis.legend(frameon=False)
    for style, title, found in (("-", "one rate", one), ("--", "own rates", own)):
        for colour, name in zip(COLOURS, ("adagrad", "rmsprop"), strict=False):
            distance = beale_distance(found[name][valley]).mean(0)
            axes[2].plot(distance, style, color=colour, label=f"{name}, {title}")
    axes[2].set(title="Beale", xlabel="step", ylabel="distance to the minimum")
    axes[2].legend(frameon=False)
    for label, lengths in zip(("without correction", "Adam"), adams, strict=True):
        axes[3].plot(range(1, 1 + lengths.shape[-1]), lengths.reshape(-1, lengths.shape[-1]).mean(0), label=label)
    axes[3].set(title="Adam's steps, rate 0.001", xlabel="step", ylabel="length", xscale="log", ylim=(0, None))
    axes[3].legend(frameon=False)
    return figure


def animate(file: Path, paths: dict[str, np.ndarray], frames: int) -> None:
    """Write an animated GIF; the contours are drawn once, the paths in each frame."""
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), dpi=60)
    lines = {}
    for i, (axis, surface) in enumerate(zip(axes, SURFACES, strict=True)):
        draw_surface(axis, surface)
        axis.set(xticks=[], yticks=[])
        for colour, name in zip(PALETTE, paths, strict=False):
            lines[i, name] = axis.plot([], [], "-o", color=colour, label=name, linewidth=1.4, markersize=5)[0]
            lines[i, name].set_markevery([-1])
    figure.legend(handles=[lines[0, name] for name in paths], loc="outside lower center", ncols=len(paths), fontsize=8)
    figure.canvas.draw()
    background = figure.canvas.copy_from_bbox(figure.bbox)
    pictures = []
    for step in np.unique(np.geomspace(2, paths["sgd"].shape[1], frames).astype(int)):
        figure.canvas.restore_region(background)
        for (i, name), line in lines.items():
            line.set_data(*paths[name][i, :step].T)
            axes[i].draw_artist(line)
        pictures.append(Image.fromarray(np.array(figure.canvas.buffer_rgba())).convert("RGB"))
    palette = pictures[-1].quantize(255, method=Image.Quantize.MAXCOVERAGE)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=120, loop=0, optimize=True)
