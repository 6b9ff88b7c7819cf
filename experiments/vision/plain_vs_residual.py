"""Deep plain networks have a higher training error than shallow ones; deep residual networks do not.

    python -m experiments run plain_vs_residual

The CIFAR-10 networks of He et al. (2016), thin and with 8 and 32 layers, with shortcuts and without, learn handwritten
digits of 8 x 8 pixels. All have batch norm, so that ``y = F(x)`` instead of ``y = F(x) + x`` is the only difference.
Each network has 300 steps of momentum with a cosine decay at its best of four learning rates, by the mean training loss
of three runs over the last tenth of the steps; twelve other runs are judged by the training error over that tenth.
Residual networks do not degrade if the deep one is at most one percentage point worse than the shallow one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import optax

from experiments.harness.claims import Statement, judge_all
from experiments.harness.configuration import require
from experiments.harness.learning import (
    RateSearch,
    draw_batches,
    learn_at_rate,
    search_rate_then_measure,
    training_digits,
)
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from experiments.vision import drawings
from jaxdl import optim, tasks
from jaxdl.models.vision.resnet import ResNet
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import Array

CLAIMS = (12,)
MARGIN = 0.01
Found = dict[tuple[str, int], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(RateSearch):
    """Plain and residual networks of two depths."""

    SMOKE = {**RateSearch.SMOKE, "search_seeds": 2, "rates": (0.01,), "widths": (2,), "deep": 2}

    widths: tuple[int, ...] = (4, 8, 16)
    """Channels of the stages."""
    shallow: int = 1
    """Blocks in each stage of the shallow networks; three stages have 6 times as many layers, plus 2."""
    deep: int = 5
    """Blocks in each stage of the deep networks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.deep > self.shallow, "deep", f"> --shallow, {self.shallow}", self.deep)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both kinds in both depths, and compare the errors."""
    examples = training_digits()
    rates, widths, blocks = np.array(config.rates, np.float32), config.widths, (config.shallow, config.deep)
    depths = [2 * len(widths) * n + 2 for n in blocks]
    runs = config.search_seeds + config.seeds
    batches = draw_batches(config.seed, examples, (runs, config.steps, config.batch_size))
    last, decay = slice(-max(1, config.steps // 10), None), cosine_decay(1.0, config.steps)

    def optimizer(rate: Array) -> optax.GradientTransformation:
        return optim.momentum(lambda step: rate * decay(step), 0.9)

    found: Found = {}
    for kind in ("plain", "residual"):
        for n, depth in zip(blocks, depths, strict=True):
            fields = {"depths": (n,) * len(widths), "widths": widths, "residual": kind == "residual"}
            model = ResNet(num_classes=10, stem="cifar", scan_blocks=True, **fields)
            start = initialize(np.random.default_rng(config.seed), model, np.zeros((1, 8, 8, 1), np.float32), runs)
            rate, curves = search_rate_then_measure(
                learn_at_rate(tasks.classification(model).loss, optimizer, examples),
                rates,
                (start, batches),
                config.search_seeds,
                lambda curves: curves["loss"][:, last].mean(axis=1),
            )
            wrong = 1 - curves["accuracy"]
            found[kind, depth] = {"wrong": wrong, "rate": rate, "error": np.mean(wrong[:, last], axis=1)}
    error = {key: values["error"] for key, values in found.items()}
    judge_all(run, statements(error, *depths))
    run.figure("training", drawings.draw_degradation(found, *depths))
    return means(error=error, best_rate={key: values["rate"] for key, values in found.items()})


def statements(error: dict[tuple[str, int], np.ndarray], shallow: int, deep: int) -> Iterator[Statement]:
    """State the parts of the claim by the errors of every seed."""
    statement = f"a plain network of {deep} layers has a higher training error than one of {shallow}"
    measure = f"training error, {deep} layers minus {shallow}"
    yield Statement(12, statement, measure, error["plain", deep] - error["plain", shallow], within=(-1, 1))
    statement = f"a residual network of {deep} layers has no higher training error than one of {shallow}"
    measure = f"training error, {shallow} layers plus {MARGIN} minus {deep}"
    yield Statement(12, statement, measure, error["residual", shallow] + MARGIN - error["residual", deep])
    statement = f"shortcuts are what lowers the training error of {deep} layers"
    measure = "training error, plain minus residual"
    yield Statement(12, statement, measure, error["plain", deep] - error["residual", deep], within=(-1, 1))
