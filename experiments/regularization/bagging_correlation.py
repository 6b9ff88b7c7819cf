"""Averaging k predictions leaves V / k + (k - 1) C / k of the squared error: correlated errors remain.

    python -m experiments run bagging_correlation

Ensembles of ten networks 64-64-64-10 learn digits from 100 examples each, under four conditions: identical networks;
own initializations; own initializations and bootstrap samples of the 100 digits (bagging); own initializations and 100
other digits. An error is a probability minus its target, V its mean square, C the mean product of two networks' errors
on the 360 test digits. The gain is the relative reduction of the members' mean error by averaging, of the squared error
and of the share of wrong digits. Simulated errors of given correlation check the formula.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.members import Repeated, train_on_samples
from experiments.harness.run_folder import Run
from jaxdl import data, models, optim, tasks, train, tree
from jaxdl.train import ensemble
from jaxdl.typing import Array, PyTree

CLAIMS = (11,)
MEMBERS, EXAMPLES, BATCH, RATE = 10, 100, 20, 0.1
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
    seeds = config.seeds
    dataset = data.digits()
    params = train_all(config.seed, dataset.train, seeds, config.epochs)
    probabilities = np.asarray(predict(params, dataset.test["image"]))
    probabilities = probabilities.reshape(len(CONDITIONS) - 1, seeds, MEMBERS, -1, MODEL.num_classes)
    alike = np.broadcast_to(probabilities[:1, :, :1], probabilities[:1].shape)
    probabilities = dict(zip(CONDITIONS, np.concatenate([alike, probabilities]), strict=True))
    found = {name: jax.device_get(measure(p, dataset.test["label"])) for name, p in probabilities.items()}
    judge_gains(run, found)
    run.figure("bagging", draw(found, simulate(np.random.default_rng(config.seed), config.draws)))
    result = {}
    for name, values in found.items():
        short = name.replace(" ", "_")
        result |= {f"correlation_{short}": float(values["correlation"].mean())}
        result |= {f"gain_{short}_{kind}": float(values[f"{kind}_gain"].mean()) for kind in ("squared", "wrong")}
    return {**result, "formula_error": float(max(values["formula_error"].max() for values in found.values()))}


def train_all(seed: int, arrays: dict, seeds: int, epochs: int) -> PyTree:
    """Train all networks in one program, ordered by condition, seed and member; return their parameters."""
    generator = np.random.default_rng(seed)
    order = np.stack([generator.permutation(len(arrays["label"])) for _ in range(seeds)])
    others = order[:, : MEMBERS * EXAMPLES].reshape(seeds, MEMBERS, EXAMPLES)
    same = np.repeat(others[:, :1], MEMBERS, axis=1)
    places = ensemble.bootstrap(jax.random.key(seed), seeds * MEMBERS, EXAMPLES).reshape(others.shape)
    samples = np.stack([same, np.take_along_axis(same, np.asarray(places), axis=-1), others])
    samples = samples.reshape(-1, EXAMPLES)
    task, optimizer = tasks.classification(MODEL), optim.sgd(RATE)

    def draw_kernel(name: str, leaf: Array) -> np.ndarray:
        drawn = generator.normal(size=(seeds * MEMBERS, *leaf.shape)) / np.sqrt(leaf.shape[0])
        return np.tile(drawn * name.endswith("kernel"), (3,) + (1,) * leaf.ndim).astype(np.float32)

    shapes = jax.eval_shape(MODEL.init, jax.random.key(0), arrays["image"][:1])
    create = jax.jit(jax.vmap(lambda variables: train.TrainState.create(variables, optimizer, jax.random.key(seed))))
    states = create(tree.map_with_path(draw_kernel, shapes))
    step = train.make_step(task.loss, optimizer)
    return train_on_samples(step, states, arrays, samples, epochs=epochs, batch_size=BATCH, seed=seed)[0].params


@jax.jit
def predict(params: PyTree, images: Array) -> Array:
    """Return the probabilities ``[runs, N, K]``."""
    return jax.vmap(lambda params: jax.nn.softmax(MODEL.apply({"params": params}, images)))(params)


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


def judge_gains(run: Run, found: dict[str, dict[str, np.ndarray]]) -> None:
    """Judge the gain of bagging and its decrease with the correlation of the errors."""
    bagged = found["bootstrap"]["squared_gain"]
    run.claim(judge(11, "bagging lowers the members' squared error", "of the members' error", bagged))
    whole = 1 - found["bootstrap"]["squared"][:, -1] / found["all alike"]["squared"][:, -1]
    run.claim(judge(11, "bagging beats one network that learns from the whole sample", "of its squared error", whole))
    correlation = np.stack([values["correlation"] for values in found.values()])
    centred = correlation - correlation.mean(0)
    for kind, name in (("squared", "squared error"), ("wrong", "share of wrong digits")):
        gain = np.stack([values[f"{kind}_gain"] for values in found.values()])
        slope = np.sum(centred * gain, axis=0) / np.sum(centred**2, axis=0)
        statement = f"the gain in the {name} falls as errors correlate"
        run.claim(judge(11, statement, "gain lost from correlation 0 to 1", -slope))
    as_bad = "correlated errors leave the ensemble as bad as one network"
    run.claim(judge(11, as_bad, "of the members' error, 0.01 minus the gain", 0.01 - bagged))


def simulate(generator: np.random.Generator, draws: int) -> dict[float, np.ndarray]:
    """Average up to 30 errors of variance 1 and a given correlation; return their mean squares by correlation."""
    sizes, result = np.arange(1, 31), {}
    for correlation in (0.0, 0.3, 0.7, 1.0):
        common, own = generator.normal(size=(draws, 1)), generator.normal(size=(draws, sizes.size))
        errors = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
        result[correlation] = np.square(np.cumsum(errors, axis=1) / sizes).mean(0)
    return result


def draw(found: dict[str, dict[str, np.ndarray]], simulated: dict[float, np.ndarray]) -> Figure:
    """Draw the formula for drawn numbers and for networks, and the gain over the correlation."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2))
    sizes = np.arange(1, 31)
    for colour, (correlation, measured) in zip(COLOURS, simulated.items(), strict=False):
        line = ensemble.squared_error_of_average(1.0, correlation, sizes)
        axes[0].plot(sizes, line, color=colour, label=f"correlation {correlation:g}")
        axes[0].plot(sizes[::3], measured[::3], "o", color=colour, markersize=4)
    axes[0].set(title="numbers: points measured, lines V/k + (k-1)C/k", xlabel="members k", ylabel="squared error")
    sizes = np.arange(1, MEMBERS + 1)
    for colour, (name, values) in zip(COLOURS, found.items(), strict=False):
        axes[1].plot(sizes, values["formula"].mean(0), color=colour, label=name)
        axes[1].plot(sizes, values["squared"].mean(0), "o", color=colour, markersize=4)
        axes[2].plot(
            values["correlation"], values["wrong_gain"], "o", color=colour, markersize=5, label=name, alpha=0.7
        )
    axes[1].set(title="networks: points measured, lines the formula", xlabel="members k", ylabel="squared error")
    axes[2].axhline(0, color="grey", linewidth=1)
    axes[2].set(
        title="an ensemble of ten each", xlabel="correlation of errors, C / V", ylabel="fewer wrong digits, share"
    )
    for axis in axes:
        axis.legend(frameon=False)
    return figure
