"""Deep plain networks have a higher training error than shallow ones; with shortcuts, deep networks do not.

    python -m experiments run plain_vs_residual

The networks that the paper on residual learning has for CIFAR-10, thin and of 8 and 32 layers, with their shortcuts and
without, learn handwritten digits of 8 x 8 pixels. Batch norm is in all of them, so the plain ones differ from the
others in nothing but ``y = F(x)`` in place of ``y = F(x) + x``.

Set beforehand: 300 steps, momentum with a cosine decay; each network at its own best of the learning rates, by the mean
training loss over the last tenth of the steps. The training error is the share of wrong answers, as the network trains,
over that tenth. Residual networks do not degrade where the deep one is at most one percentage point worse than the
shallow. The rate 0.01 was added after a first run, in which the deep plain network was best at the lowest, 0.03; it is
still the best. The rate of each network is chosen on the runs that are then judged, which flatters all four alike.

Result: of the plain networks the deep one ends with 22 % wrong answers and the shallow one with 0.2 %, of the residual
ones with 0.15 % and 0.05 %. The plain network of 32 layers is still learning when the others have long finished; it is
slow, not stuck. About two minutes, estimated from the processor time on a busy machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from jaxdl import data, optim, tasks, train, tree
from jaxdl.models.resnet import ResNet
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (12,)
MARGIN = 0.01
RATES = np.array([0.01, 0.03, 0.1, 0.3], np.float32)
Found = dict[tuple[str, int], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Plain and residual networks of two depths."""

    seeds: int = 5
    """Independent runs at each rate."""
    shallow: int = 1
    """Blocks in each of the three stages of the shallow networks, which have 6 times as many layers and 2 more."""
    deep: int = 5
    """Blocks in each of the three stages of the deep networks."""
    steps: int = 300
    """Updates."""
    batch_size: int = 64
    """Examples in an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.require(self.seeds >= 2, "seeds", ">= 2", self.seeds)
        for name in ("shallow", "steps", "batch_size"):
            configuration.require(getattr(self, name) >= 1, name, ">= 1", getattr(self, name))
        configuration.require(self.deep > self.shallow, "deep", f"> --shallow, {self.shallow}", self.deep)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both kinds in both depths, and compare the errors."""
    with preparing():
        examples = jax.device_put(dict(data.load("digits").train))
    seeds, steps, rates, widths = config.seeds, config.steps, RATES, (4, 8, 16)
    blocks = (config.shallow, config.deep)
    if run.smoke:
        seeds, steps, rates, widths, blocks = 2, 4, RATES[:1], (2,), (1, 2)
    depths = [2 * len(widths) * n + 2 for n in blocks]
    size = (seeds, steps, config.batch_size)
    batches = np.random.default_rng(config.seed).integers(len(examples["label"]), size=size, dtype=np.int32)
    found: Found = {}
    for kind in ("plain", "residual"):
        for n, depth in zip(blocks, depths, strict=True):
            fields = {"depths": (n,) * len(widths), "widths": widths, "residual": kind == "residual"}
            model = ResNet(num_classes=10, stem="cifar", scan_blocks=True, **fields)
            learn = jax.vmap(make_learn(model, examples, steps), (None, 0, 0))
            learn = jax.jit(jax.vmap(learn, (0, None, None)))
            measured = jax.device_get(learn(rates, initialise(model, config.seed, seeds), batches))
            found[kind, depth] = at_best(measured)
    assess(run, found, *depths)
    run.figure("training", draw(found, *depths))
    name = "{}_{}".format
    return {f"error_{name(*key)}": float(np.mean(values["error"])) for key, values in found.items()} | {
        f"best_rate_{name(*key)}": float(rates[values["best"]]) for key, values in found.items()
    }


def make_learn(model: ResNet, examples: Batch, steps: int) -> Callable[..., dict[str, Array]]:
    """Make the function that trains at a rate, from variables, on batches of examples of these numbers."""
    task = tasks.classification(model)

    def learn(rate: Array, variables: PyTree, batches: Array) -> dict[str, Array]:
        decay = optim.schedules.cosine_decay(1.0, steps)
        optimizer = optim.momentum(lambda step: rate * decay(step), 0.9)
        step = train.make_step(task.loss, optimizer)

        def one(state: train.TrainState, index: Array) -> tuple[train.TrainState, dict[str, Array]]:
            state, metrics = step(state, tree.take(examples, index))
            return state, {"loss": metrics["loss"], "wrong": 1 - metrics["accuracy"]}

        start = train.TrainState.create(variables, optimizer, jax.random.key(0))  # nothing here is random
        return jax.lax.scan(one, start, batches)[1]

    return learn


def initialise(model: ResNet, seed: int, seeds: int) -> PyTree:
    """Draw He's first values by NumPy, which compiles nothing: kernels normal, scales and variances 1, all else 0."""
    random = np.random.default_rng(seed)

    def draw_leaf(path: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        shape = (seeds, *leaf.shape)
        if not path.endswith("kernel"):
            return np.full(shape, path.endswith(("scale", "var")), np.float32)
        fan_in = np.prod(leaf.shape[-4 if len(leaf.shape) > 2 else 0 : -1])  # scanned blocks have a dimension before it
        return random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))
    return tree.map_with_path(draw_leaf, shapes)


def at_best(measured: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the curves ``[seeds, steps]`` at the best rate, its number, and the errors ``[seeds]`` in the end."""
    last = slice(-max(1, measured["loss"].shape[-1] // 10), None)
    in_the_end = np.mean(measured["loss"][..., last], axis=(1, 2))
    best = int(np.argmin(np.nan_to_num(in_the_end, nan=np.inf)))
    curves = tree.take(measured, best)
    return {**curves, "best": np.array(best), "error": np.mean(curves["wrong"][:, last], axis=1)}


def assess(run: Run, found: Found, shallow: int, deep: int) -> None:
    """Judge the parts of the claim by the errors of every seed."""
    error = {key: values["error"] for key, values in found.items()}
    statement = f"a plain network of {deep} layers has a higher training error than one of {shallow}"
    measure = f"training error, {deep} layers minus {shallow}"
    run.claim(judge(12, statement, measure, error["plain", deep] - error["plain", shallow]))
    statement = f"a residual network of {deep} layers has no higher training error than one of {shallow}"
    measure = f"training error, {shallow} layers plus {MARGIN} minus {deep}"
    run.claim(judge(12, statement, measure, error["residual", shallow] + MARGIN - error["residual", deep]))
    statement = f"shortcuts are what lowers the training error of {deep} layers"
    measure = "training error, plain minus residual"
    run.claim(judge(12, statement, measure, error["plain", deep] - error["residual", deep]))


def draw(found: Found, shallow: int, deep: int) -> Figure:
    """Draw the training error over the steps, the plain networks beside the residual ones, and where it ends."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(2, 2, 1))
    colours = {shallow: COLOURS[0], deep: COLOURS[1]}
    for axis, kind in zip(axes, ("plain", "residual"), strict=False):
        for depth, colour in colours.items():
            wrong = found[kind, depth]["wrong"]
            width = min(15, wrong.shape[1])
            smooth = np.apply_along_axis(np.convolve, 1, wrong, np.ones(width) / width, "valid")
            steps = np.arange(smooth.shape[1]) + width / 2
            axis.plot(steps, 100 * smooth.T, color=colour, linewidth=0.5, alpha=0.35)
            axis.plot(steps, 100 * smooth.mean(axis=0), color=colour, linewidth=1.8, label=f"{depth} layers")
        axis.set(xlabel="step", title=f"Training error, {kind} networks", ylim=(-2, 92))
        axis.legend(frameon=False)
    axes[0].set_ylabel("wrong, %")
    for place, ((_, depth), values) in enumerate(found.items()):
        error = 100 * values["error"]
        axes[2].plot(place + np.linspace(-0.15, 0.15, len(error)), error, "o", color=colours[depth], markersize=4)
        axes[2].hlines(error.mean(), place - 0.3, place + 0.3, color=colours[depth])
    axes[2].set_xticks(range(4), [f"{kind}\n{depth}" for kind, depth in found], fontsize=8)
    axes[2].set(title="In the end, %")
    return figure
