"""Deep plain networks have a higher training error than shallow ones; deep residual networks do not.

    python -m experiments run plain_vs_residual

The CIFAR-10 networks of He et al. (2016), thin and with 8 and 32 layers, with shortcuts and without, learn handwritten
digits of 8 x 8 pixels. All have batch norm, so that ``y = F(x)`` instead of ``y = F(x) + x`` is the only difference.
Each network has 300 steps of momentum with a cosine decay at its best of four learning rates, by the mean training loss
of three runs over the last tenth of the steps; twelve other runs are judged by the training error over that tenth.
Residual networks do not degrade if the deep one is at most one percentage point worse than the shallow one.
"""

from dataclasses import dataclass

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.learning import Learn, draw_batches, fit_batches, search_rate_then_measure
from experiments.harness.plots import plot_groups, plot_smooth_runs
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import data, optim, tasks
from jaxdl.models.vision.resnet import ResNet
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (12,)
MARGIN = 0.01
RATES = (0.01, 0.03, 0.1, 0.3)
Curves = dict[str, np.ndarray]
Found = dict[tuple[str, int], Curves]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Plain and residual networks of two depths."""

    SMOKE = {"seeds": 2, "search_seeds": 2, "steps": 2, "rates": RATES[:1], "widths": (2,), "deep": 2, "batch_size": 4}

    seeds: int = 12
    """Independent runs at the chosen rate, which are judged."""
    rates: tuple[float, ...] = RATES
    """Learning rates."""
    widths: tuple[int, ...] = (4, 8, 16)
    """Channels of the stages."""
    search_seeds: int = 3
    """Other runs at each rate, which choose the best."""
    shallow: int = 1
    """Blocks in each stage of the shallow networks; three stages have 6 times as many layers, plus 2."""
    deep: int = 5
    """Blocks in each stage of the deep networks."""
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
    rates, widths, blocks = np.array(config.rates, np.float32), config.widths, (config.shallow, config.deep)
    depths = [2 * len(widths) * n + 2 for n in blocks]
    runs = config.search_seeds + config.seeds
    batches = draw_batches(config.seed, examples, (runs, config.steps, config.batch_size))
    last = slice(-max(1, config.steps // 10), None)
    found: Found = {}
    for kind in ("plain", "residual"):
        for n, depth in zip(blocks, depths, strict=True):
            fields = {"depths": (n,) * len(widths), "widths": widths, "residual": kind == "residual"}
            model = ResNet(num_classes=10, stem="cifar", scan_blocks=True, **fields)
            image = np.zeros((1, 8, 8, 1), np.float32)
            start = initialize(np.random.default_rng(config.seed), model, image, runs)
            rate, curves = search_rate_then_measure(
                make_learn(model, examples, config.steps),
                rates,
                (start, batches),
                config.search_seeds,
                lambda curves: curves["loss"][:, last].mean(axis=1),
            )
            found[kind, depth] = {**curves, "rate": rate, "error": np.mean(curves["wrong"][:, last], axis=1)}
    assess(run, found, *depths)
    run.figure("training", draw(found, *depths))
    return means(
        error={key: values["error"] for key, values in found.items()},
        best_rate={key: values["rate"] for key, values in found.items()},
    )


def make_learn(model: ResNet, examples: Batch, steps: int) -> Learn:
    """Make the function that trains at a rate, from variables, on batches of indices."""
    task, decay = tasks.classification(model), optim.schedules.cosine_decay(1.0, steps)

    def learn(rate: Array, run: tuple[PyTree, Array]) -> dict[str, Array]:
        variables, batches = run
        optimizer = optim.momentum(lambda step: rate * decay(step), 0.9)
        _, metrics = fit_batches(task.loss, optimizer, variables, examples, batches)
        return {"loss": metrics["loss"], "wrong": 1 - metrics["accuracy"]}

    return learn


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
    """Draw the training error of plain and residual networks over the steps, and the final one."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(2, 2, 1))
    for axis, kind in zip(axes, ("plain", "residual"), strict=False):
        plot_smooth_runs(axis, {f"{depth} layers": 100 * found[kind, depth]["wrong"] for depth in (shallow, deep)}, 15)
        axis.set(title=f"Training error, {kind} networks", ylim=(-2, 92))
        axis.legend(frameon=False)
    axes[0].set_ylabel("wrong, %")
    errors = {f"{kind}\n{depth}": 100 * values["error"] for (kind, depth), values in found.items()}
    plot_groups(axes[2], errors, [COLOURS[depth == deep] for _, depth in found], within=(0, 1))
    axes[2].tick_params(axis="x", labelsize=8)
    axes[2].set(title="Final error, %")
    return figure
