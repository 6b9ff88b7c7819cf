"""Transfer learning in four cases with four strategies, compared with the textbook's advice.

    python -m experiments run transfer_learning

A small convolutional network is pretrained on 64 invented characters (``--source digits``: the digits 0 to 4). The
target is similar, the digits 5 to 9, or different, five directions of noisy waves, with few examples, 25, or many, 500.
A strategy trains a new head alone, freezes the two lower convolutions, fine-tunes all layers with rates that fall by
2.6 per layer downwards, or trains from scratch, each at its best of four rates by the accuracy on 150 other examples in
3 runs; 12 other runs are judged on 240 examples. ``ADVICE`` has eight comparisons, each reproduced if the whole 95 %
interval of the difference in accuracy is above 0.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np
from flax import linen

from experiments.harness.claims import interval
from experiments.harness.configuration import require
from experiments.harness.errors import preparing
from experiments.harness.learning import RateSearch
from experiments.harness.members import balanced_order
from experiments.harness.results import means, table
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.harness.vision import transfer
from experiments.vision import drawings
from jaxdl import data, tree
from jaxdl.nn import Conv, max_pool
from jaxdl.optim.freezing import discriminative_factors
from jaxdl.typing import Array

LAYERS = ("conv1", "conv2", "conv3", "dense", "output")
STRATEGIES = {
    "new head": transfer.Strategy((0.0, 0.0, 0.0, 0.0, 1.0)),
    "freeze part": transfer.Strategy((0.0, 0.0, 1.0, 1.0, 1.0)),
    "fine-tune": transfer.Strategy(tuple(discriminative_factors(LAYERS).values())),
    "from scratch": transfer.Strategy((1.0,) * 5, transferred=False),
}
ADVICE = {
    ("similar", "few"): [("new head", "from scratch"), ("new head", "fine-tune")],
    ("similar", "many"): [("fine-tune", "from scratch"), ("fine-tune", "new head")],
    ("different", "few"): [("freeze part", "from scratch"), ("freeze part", "new head")],
    ("different", "many"): [("from scratch", "new head"), ("from scratch", "fine-tune")],
}
"""The comparisons of the textbook: the first strategy of each pair should be the better one."""
POOL, SOURCE_RATE, RATES = 500, 3e-3, (1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Config(RateSearch):
    """Transfer to the digits 5 to 9, and to gratings."""

    SMALL = {"source_steps": 2, "glyphs": 1, "many": 25, "validated": 5, "tested": 5}
    SMOKE = {**RateSearch.SMOKE, **SMALL, "rates": RATES[:2], "batch_size": 2}
    LEAST = {"few": 5}

    few: int = 25
    """Examples of the small target, of all five classes."""
    many: int = POOL
    """Examples of the large target."""
    validated: int = 150
    """Examples of the target that choose the rate."""
    tested: int = 240
    """Examples of the target of the test."""
    rates: tuple[float, ...] = RATES
    """Learning rates after the transfer."""
    glyphs: int = 60
    """Examples of each invented character."""
    source: Literal["glyphs", "digits"] = "glyphs"
    """Task of the pretraining: 64 invented characters, or the digits 0 to 4."""
    source_steps: int = 1000
    """Updates before the transfer."""
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.few <= self.many <= POOL, "many", f"from --few to {POOL}", self.many)


class Network(linen.Module):
    """Three convolutions and two dense layers."""

    classes: int = 5

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Return the logits ``[B, classes]`` of images ``[B, 8, 8, 1]``."""
        x = linen.relu(Conv(8, (3, 3), padding=1, name="conv1")(x))
        x = max_pool(linen.relu(Conv(16, (3, 3), padding=1, name="conv2")(x)), 2)
        x = linen.relu(Conv(16, (3, 3), padding=1, name="conv3")(x))
        x = linen.relu(linen.Dense(32, name="dense")(x.reshape(x.shape[0], -1)))
        return linen.Dense(self.classes, name="output")(x)


def run(config: Config, run: Run) -> dict[str, float | str]:
    """Train on the source, transfer in four cases with four strategies, compare with the advice."""
    generator = np.random.default_rng(config.seed)
    source, targets = read(generator, config)
    keys, *new_keys = jax.random.split(jax.random.key(config.seed), (3, config.search_seeds + config.seeds))
    trained, known = pretrain(config, source, keys, generator)
    model = Network()
    fresh, rates = initialize(model, new_keys[0]), np.array(config.rates, np.float32)
    learn = transfer.make_learn(model, LAYERS, config.steps, config.batch_size)
    transfer_all, found = transfer.make_transfer(learn, model, LAYERS, STRATEGIES), {}
    for similarity, target in targets.items():
        order = np.stack([balanced_order(generator, target.pool["label"]) for _ in keys])
        start = transfer.Start(trained, fresh, order, new_keys[1])
        for size, count in (("few", config.few), ("many", config.many)):
            found[similarity, size] = transfer.search_then_test(
                transfer_all, start, rates, config.search_seeds, target, count, STRATEGIES
            )
    accuracies = {case: tested for case, (tested, _) in found.items()}
    gains = {
        (*case, better, worse): interval(accuracies[case][better] - accuracies[case][worse], (-1, 1))
        for case, pairs in ADVICE.items()
        for better, worse in pairs
    }
    report(run, found, gains)
    run.figure("cases", drawings.draw_cases(accuracies, ADVICE))
    run.figure("examples", drawings.draw_examples(source, {name: target.pool for name, target in targets.items()}))
    kept = sum(low > 0 for _, low, _ in gains.values())
    result = means(**{"_".join(case): tested for case, tested in accuracies.items()})
    return {"source": known, **result, "advice_kept": kept, "advice": len(gains)}


def read(generator: np.random.Generator, config: Config) -> tuple[dict[str, np.ndarray], dict[str, transfer.Target]]:
    """Return the examples of the source and the two targets."""
    with preparing():
        dataset = data.load("digits")
    every = {name: np.concatenate([dataset.train[name], dataset.test[name]]) for name in ("image", "label")}
    lower, upper = (tree.take(every, np.flatnonzero(chosen)) for chosen in (every["label"] < 5, every["label"] >= 5))
    split = partial(transfer.split_target, generator, sizes=(POOL, config.validated, config.tested))
    similar = split(upper | {"label": upper["label"] - 5})
    source = data.patterns.glyphs(generator, config.glyphs) if config.source == "glyphs" else lower
    waves = data.patterns.gratings(generator, POOL + config.validated + config.tested)
    return source, {"similar": similar, "different": split(waves)}


def initialize(model: Network, keys: Array) -> dict[str, Array]:
    """Initialize the parameters for every key."""
    return init_each(lambda key: model.init(key, np.zeros((1, 8, 8, 1), np.float32))["params"], keys)


def pretrain(
    config: Config, source: dict[str, np.ndarray], keys: Array, generator: np.random.Generator
) -> tuple[dict[str, Array], float]:
    """Train a network for every key on the source; return the parameters and the mean accuracy."""
    model = Network(int(source["label"].max()) + 1)
    learn = transfer.make_learn(model, LAYERS, config.source_steps, config.batch_size)
    first, order = initialize(model, keys), generator.permutation(len(source["label"]))
    trained = transfer.pretrain(learn, SOURCE_RATE, LAYERS, first, keys, source, order)
    right = jax.jit(jax.vmap(lambda params: transfer.accuracy(model, params, source)))(trained)
    return trained, float(np.mean(right))


def report(run: Run, found: dict, gains: dict[tuple[str, ...], tuple[float, float, float]]) -> None:
    """Print the accuracies with the chosen rates, and the verdicts on the advice."""
    rows = []
    for case, (tested, rates) in found.items():
        errors = {name: values.std(ddof=1) / len(values) ** 0.5 for name, values in tested.items()}
        rows.append([*case, *(f"{x.mean():.1%} +- {errors[n]:.1%} ({rates[n]:g})" for n, x in tested.items())])
    title = "accuracy on the target, mean +- standard error (learning rate)"
    run.console.print(table(title, ("target", "examples", *STRATEGIES), rows))
    columns = ("target", "examples", "better", "than", "gain [95 % interval]", "verdict")
    verdicts = [
        [*names, f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]", "reproduced" if low > 0 else "not reproduced"]
        for names, (mean, low, high) in gains.items()
    ]
    run.console.print(table("advice", columns, verdicts))
