"""Averaging k predictions leaves V / k + (k - 1) C / k of the squared error: correlated errors remain.

    python -m experiments run bagging_correlation

Ensembles of ten networks 64-64-64-10 learn digits from 100 examples each, under four conditions: identical networks;
own initializations; own initializations and bootstrap samples of the 100 digits (bagging); own initializations and 100
other digits. An error is a probability minus its target, V its mean square, C the mean product of two networks' errors
on the 360 test digits. The gain is the relative reduction of the members' mean error by averaging, of the squared error
and of the share of wrong digits. Simulated errors of given correlation check the formula.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.claims import Statement, judge_all
from experiments.harness.members import Repeated, predict_probabilities, simulate_averages, train_on_samples
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize_dense
from experiments.regularization import drawings
from jaxdl import data, models, optim, tasks, train, tree
from jaxdl.train import ensemble
from jaxdl.typing import Array, PyTree

CLAIMS = (11,)
MEMBERS, EXAMPLES, BATCH, RATE = 10, 100, 20, 0.1
SIMULATED = (0.0, 0.3, 0.7, 1.0)
CONDITIONS = ("all alike", "own weights", "bootstrap", "other digits")
MODEL = models.MLP(hidden_sizes=(64, 64))


@dataclass(frozen=True)
class Config(Repeated):
    """Ensembles of networks with errors of different correlation."""

    SMOKE = {"seeds": 2, "epochs": 1, "draws": 50}

    epochs: int = 100
    """Passes over the training digits."""
    draws: int = 20_000
    """Samples of the simulated errors."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the ensembles, measure the errors and their correlation, judge, draw."""
    seeds, dataset = config.seeds, data.digits()
    params = train_all(config.seed, dataset.train, seeds, config.epochs)
    probabilities = np.asarray(predict_probabilities(MODEL, params, dataset.test["image"]))
    probabilities = probabilities.reshape(len(CONDITIONS) - 1, seeds, MEMBERS, -1, MODEL.num_classes)
    alike = np.broadcast_to(probabilities[:1, :, :1], probabilities[:1].shape)
    probabilities = dict(zip(CONDITIONS, np.concatenate([alike, probabilities]), strict=True))
    found = {name: jax.device_get(measure(p, dataset.test["label"])) for name, p in probabilities.items()}
    judge_all(run, statements(found))
    generator = np.random.default_rng(config.seed)
    simulated = {correlation: simulate_averages(generator, config.draws, correlation, 30) for correlation in SIMULATED}
    run.figure("bagging", drawings.draw_bagging(found, simulated))
    gains = {(name, kind): values[f"{kind}_gain"] for name, values in found.items() for kind in ("squared", "wrong")}
    result = means(correlation={name: values["correlation"] for name, values in found.items()}, gain=gains)
    return result | {"formula_error": float(max(values["formula_error"].max() for values in found.values()))}


def train_all(seed: int, arrays: dict, seeds: int, epochs: int) -> PyTree:
    """Train all networks in one program, ordered by condition, seed and member; return their parameters."""
    generator = np.random.default_rng(seed)
    order = np.stack([generator.permutation(len(arrays["label"])) for _ in range(seeds)])
    others = order[:, : MEMBERS * EXAMPLES].reshape(seeds, MEMBERS, EXAMPLES)
    same = np.repeat(others[:, :1], MEMBERS, axis=1)
    places = ensemble.bootstrap(jax.random.key(seed), seeds * MEMBERS, EXAMPLES).reshape(others.shape)
    samples = np.stack([same, np.take_along_axis(same, np.asarray(places), axis=-1), others]).reshape(-1, EXAMPLES)
    drawn = initialize_dense(generator, MODEL, arrays["image"][:1], seeds * MEMBERS)
    variables = tree.take(drawn, np.tile(np.arange(seeds * MEMBERS), 3))
    optimizer = optim.sgd(RATE)
    create = jax.jit(jax.vmap(lambda variables: train.TrainState.create(variables, optimizer, jax.random.key(seed))))
    step = train.make_step(tasks.classification(MODEL).loss, optimizer)
    settings = {"epochs": epochs, "batch_size": BATCH, "seed": seed}
    return train_on_samples(step, create(variables), arrays, samples, **settings)[0].params


@jax.jit
def measure(probabilities: Array, labels: Array) -> dict[str, Array]:
    """Measure the ensembles of probabilities ``[seeds, members, N, K]``: each value ``[seeds]``, or over sizes."""
    errors = probabilities - jax.nn.one_hot(labels, MODEL.num_classes)[None, None]
    variance, covariance = jax.vmap(ensemble.error_moments)(errors)
    sizes = jnp.arange(1, MEMBERS + 1)
    mean = jnp.cumsum(errors, axis=1) / sizes[None, :, None, None]
    squared = jnp.mean(mean**2, axis=(2, 3))
    formula = ensemble.squared_error_of_average(variance[:, None], covariance[:, None], sizes[None])
    members = jnp.mean(jnp.argmax(probabilities, -1) != labels[None, None], axis=(1, 2))
    together = jnp.mean(jnp.argmax(jnp.mean(probabilities, 1), -1) != labels[None], axis=1)
    return {
        "squared": squared,
        "formula": formula,
        "formula_error": jnp.abs(squared[:, -1] / formula[:, -1] - 1),
        "correlation": covariance / variance,
        "squared_gain": 1 - squared[:, -1] / variance,
        "wrong_gain": 1 - together / members,
    }


def statements(found: dict[str, dict[str, np.ndarray]]) -> Iterator[Statement]:
    """State the gain of bagging and its decrease with the correlation of the errors."""
    bagged = found["bootstrap"]["squared_gain"]
    yield Statement(11, "bagging lowers the members' squared error", "of the members' error", bagged)
    whole = 1 - found["bootstrap"]["squared"][:, -1] / found["all alike"]["squared"][:, -1]
    statement = "bagging beats one network that learns from the whole sample"
    yield Statement(11, statement, "of its squared error", whole)
    every = {name: np.stack([values[name] for values in found.values()]) for name in found["bootstrap"]}
    centred = every["correlation"] - every["correlation"].mean(0)
    for kind, name in (("squared", "squared error"), ("wrong", "share of wrong digits")):
        slope = np.sum(centred * every[f"{kind}_gain"], axis=0) / np.sum(centred**2, axis=0)
        statement = f"the gain in the {name} falls as errors correlate"
        yield Statement(11, statement, "gain lost from correlation 0 to 1", -slope)
    statement = "correlated errors leave the ensemble as bad as one network"
    yield Statement(11, statement, "of the members' error, 0.01 minus the gain", 0.01 - bagged)
