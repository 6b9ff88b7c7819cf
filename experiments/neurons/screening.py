"""The threshold of a diagnosis: the cost of a missed disease against that of a needless examination.

    python -m experiments run screening

A sigmoid neuron predicts from 30 measurements whether a tumour of the breast is malignant, on the 569 patients of
scikit-learn's table (Street et al., 1993), in 40 random splits into training, validation and test. A missed tumour
costs 1 to 100 times as much as a needless examination; the threshold of the least cost on the validation set is
compared with one half and with the theory for true probabilities, 1 / (1 + ratio), by their costs in the test. The
figures show the predictions as in a clinic, the ROC curves, and the costs. Goals: an area under the curve of 0.98, and
at a ratio of 30 three quarters of the cost of the threshold one half.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.optimization.patients import split_patients
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl import metrics
from jaxdl.models import neurons
from jaxdl.typing import Array

GOAL = {"area": 0.98, "relative_cost_30_error": 0.75}
RATIOS = np.array([1.0, 3.0, 10.0, 30.0, 100.0], np.float32)
LEARNED, VALIDATED = 284, 142
"""Half and a quarter of the patients."""
WAYS = ("one half", "theory", "validation")


@dataclass(frozen=True)
class Config(configuration.Config):
    """A sigmoid neuron as a diagnosis."""

    SMOKE = {"splits": 2, "steps": 2}

    splits: int = 40
    """Random splits of the patients."""
    steps: int = 500
    """Steps of gradient descent."""
    learning_rate: float = 0.3
    """Learning rate of gradient descent."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Learn, choose thresholds, compare costs, draw."""
    with preparing():
        splits = split_patients(config.seed, config.splits, LEARNED, VALIDATED)
    found = jax.device_get(jax.jit(jax.vmap(partial(diagnose, config)))(splits))
    run.figure("predictions", drawings.draw_predictions(found["score"], found["label"], RATIOS, found["threshold"]))
    run.figure("costs", drawings.draw_costs(found["curve"], RATIOS, found["cost"], WAYS))
    cost = dict(zip(WAYS, found["cost"].mean(axis=0), strict=True))
    relative = cost["validation"] / cost["one half"]
    return {
        "area": float(found["area"].mean()),
        **{f"relative_cost_{ratio:g}_error": float(value) for ratio, value in zip(RATIOS, relative, strict=True)},
        **{
            f"cost_{ratio:g}_{way.replace(' ', '_')}": float(cost[way][i])
            for i, ratio in enumerate(RATIOS)
            for way in WAYS
        },
        "sensitivity_one_half": float(found["sensitivity"][:, 0].mean()),
        "sensitivity_ratio_30": float(found["sensitivity"][:, 1].mean()),
        "specificity_one_half": float(found["specificity"][:, 0].mean()),
        "specificity_ratio_30": float(found["specificity"][:, 1].mean()),
    }


def diagnose(config: Config, split: dict[str, tuple[Array, Array]]) -> dict[str, Array]:
    """Learn one split; return scores, curves, chosen thresholds and costs."""
    start = {"kernel": jnp.zeros(30), "bias": jnp.zeros(())}
    params, _ = neurons.fit_sigmoid_neuron(
        start, *split["train"], learning_rate=config.learning_rate, steps=config.steps
    )
    (x, valid), (x_test, label) = split["validation"], split["test"]
    score = neurons.sigmoid_neuron(params, x_test)
    curve = metrics.roc_curve(neurons.sigmoid_neuron(params, x), valid)
    prevalence = jnp.mean(split["train"][1])
    chosen = jnp.stack(
        [
            metrics.cheapest_threshold(curve, false_negative=ratio, false_positive=1.0, prevalence=prevalence)
            for ratio in RATIOS
        ]
    )
    thresholds = jnp.stack([jnp.full(len(RATIOS), 0.5), 1 / (1 + RATIOS), chosen])

    def missed_and_needless(threshold: Array) -> tuple[Array, Array]:
        positive = score >= threshold
        return jnp.mean(label * ~positive), jnp.mean((1 - label) * positive)

    missed, needless = jax.vmap(jax.vmap(missed_and_needless))(thresholds)
    at_30, share = int(np.flatnonzero(RATIOS == 30)[0]), jnp.mean(label)
    return {
        "score": score,
        "label": label,
        "area": metrics.auc(score, label),
        "curve": metrics.roc_curve(score, label),
        "threshold": chosen,
        "cost": missed * jnp.asarray(RATIOS)[None] + needless,
        "sensitivity": 1 - jnp.stack([missed[0, 0], missed[2, at_30]]) / share,
        "specificity": 1 - jnp.stack([needless[0, 0], needless[2, at_30]]) / (1 - share),
    }
