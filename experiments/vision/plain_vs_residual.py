"""Deep plain networks have a higher training error than shallow ones; with shortcuts, deep networks do not.

    python -m experiments run plain_vs_residual

The networks that the paper on residual learning has for CIFAR-10, thin and of 8 and 32 layers, with their shortcuts and
without, learn handwritten digits of 8 x 8 pixels. Batch norm is in all of them, so the plain ones differ from the
others in nothing but ``y = F(x)`` in place of ``y = F(x) + x``.

Set beforehand: 300 steps, momentum with a cosine decay; each network at its own best of four learning rates, by the
mean training loss of three runs over the last tenth of the steps; twelve other runs at that rate are judged. The
training error is the share of wrong answers, as the network trains, over that tenth. Residual networks do not degrade
where the deep one is at most one percentage point worse than the shallow.

Result: of the plain networks the deep one ends with 28 % wrong answers and the shallow one with 0.2 %, of the residual
ones with 0.23 % and 0.08 %. The plain network of 32 layers is still learning when the others have long finished; it is
slow, not stuck. Six minutes on a busy machine.

What changed: the rate 0.01 was added after a first run, in which the deep plain network was best at the lowest, 0.03.
Then the rates were chosen on the very runs that were judged, five of each network: 22 and 0.2 %, 0.15 and 0.05 % wrong,
with the same verdicts. The deep plain network, best at 0.03 there, is best at 0.1 by the three runs that choose now:
between the two three runs hardly tell.
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
from experiments.harness.seeds import first_values, plot_runs, smooth
from jaxdl import data, optim, tasks, train, tree
from jaxdl.models.vision.resnet import ResNet
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (12,)
MARGIN = 0.01
RATES = np.array([0.01, 0.03, 0.1, 0.3], np.float32)
Curves = dict[str, np.ndarray]
Found = dict[tuple[str, int], Curves]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Plain and residual networks of two depths."""

    seeds: int = 12
    """Independent runs at the chosen rate, which are judged."""
    search_seeds: int = 3
    """Other runs at each rate, which choose it."""
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
        configuration.at_least(self, seeds=2, search_seeds=1, shallow=1, steps=1, batch_size=1)
        configuration.require(self.deep > self.shallow, "deep", f"> --shallow, {self.shallow}", self.deep)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both kinds in both depths, and compare the errors."""
    with preparing():
        examples = jax.device_put(dict(data.load("digits").train))
    seeds, searching, steps, rates, widths = config.seeds, config.search_seeds, config.steps, RATES, (4, 8, 16)
    blocks = (config.shallow, config.deep)
    if run.smoke:
        seeds, searching, steps, rates, widths, blocks = 2, 2, 4, RATES[:1], (2,), (1, 2)
    depths = [2 * len(widths) * n + 2 for n in blocks]
    size = (searching + seeds, steps, config.batch_size)
    batches = np.random.default_rng(config.seed).integers(len(examples["label"]), size=size, dtype=np.int32)
    found: Found = {}
    for kind in ("plain", "residual"):
        for n, depth in zip(blocks, depths, strict=True):
            fields = {"depths": (n,) * len(widths), "widths": widths, "residual": kind == "residual"}
            model = ResNet(num_classes=10, stem="cifar", scan_blocks=True, **fields)
            image = np.zeros((1, 8, 8, 1), np.float32)
            start = first_values(np.random.default_rng(config.seed), model, image, searching + seeds)
            found[kind, depth] = at_best(make_learn(model, examples, steps), rates, start, batches, searching)
    assess(run, found, *depths)
    run.figure("training", draw(found, *depths))
    name = "{}_{}".format
    return {f"error_{name(*key)}": float(np.mean(values["error"])) for key, values in found.items()} | {
        f"best_rate_{name(*key)}": float(values["rate"]) for key, values in found.items()
    }


def make_learn(model: ResNet, examples: Batch, steps: int) -> Callable[..., dict[str, Array]]:
    """Make the function that trains at a rate, from variables, on batches of examples of these numbers."""
    task, decay = tasks.classification(model), optim.schedules.cosine_decay(1.0, steps)

    def learn(rate: Array, variables: PyTree, batches: Array) -> dict[str, Array]:
        optimizer = optim.momentum(lambda step: rate * decay(step), 0.9)
        step = train.make_step(task.loss, optimizer)
        start = train.TrainState.create(variables, optimizer, jax.random.key(0))  # nothing here is random
        _, metrics = jax.lax.scan(lambda state, index: step(state, tree.take(examples, index)), start, batches)
        return {"loss": metrics["loss"], "wrong": 1 - metrics["accuracy"]}

    return learn


def at_best(learn: Callable, rates: np.ndarray, start: PyTree, batches: np.ndarray, searching: int) -> Curves:
    """Choose the rate by the first runs; return it, the curves ``[seeds, steps]`` of the others at it, and the errors.

    Where as many others are judged as runs search, one program does both.
    """
    learn, runs = jax.jit(jax.vmap(learn)), len(batches)
    last = slice(-max(1, batches.shape[1] // 10), None)

    def at(rate: np.ndarray, run: np.ndarray) -> Curves:
        return jax.device_get(learn(rate, tree.take(start, run), batches[run]))

    tried = at(np.repeat(rates, searching), np.tile(np.arange(searching), len(rates)))
    in_the_end = np.mean(tried["loss"][:, last].reshape(len(rates), -1), axis=1)
    rate = rates[np.argmin(np.nan_to_num(in_the_end, nan=np.inf))]
    curves = at(np.full(runs - searching, rate), np.arange(searching, runs))
    return {**curves, "rate": rate, "error": np.mean(curves["wrong"][:, last], axis=1)}


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
            curves = 100 * smooth(wrong, 15)
            steps = np.arange(curves.shape[1]) + 15 / 2
            plot_runs(axis, curves, colour, x=steps, label=f"{depth} layers")
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
