"""The effect of penalties on the weights, and of four regularizers on the generalization gap, on few digits.

    python -m experiments run regularization_gap

A network 64-64-64-10 learns scikit-learn's digits from 100 of them; 100 others validate early stopping, and the other
1,597 are the test. 16 seeds draw the digits and the initialization, which all methods of a seed share. Six methods and
ten bagged members per seed, 256 networks, are trained as one mapped step: 200 epochs of gradient descent at the rate
0.1 with batches of 20; L2 0.01; L1 0.001, by its proximal operator and by its subgradient; dropout of 0.2 of the inputs
and 0.5 of the hidden units; shifts of up to one pixel and rotations of up to 10 degrees; early stopping with patience
10. The gap is the error, or the loss, on the test minus that on the training digits, both in test mode.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import judge
from experiments.harness.curves import plot_distribution, plot_gaps
from experiments.harness.figures import COLOURS
from experiments.harness.members import Repeated, at_early_stop, orders, train_on_samples
from experiments.harness.run_folder import Run
from jaxdl import data, losses, metrics, models, optim, train, tree
from jaxdl.data import augmentation
from jaxdl.nn import activations, noise
from jaxdl.nn.dense import linear
from jaxdl.train import ensemble
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (9, 10)
RATE, BATCH, EXAMPLES, MEMBERS, PATIENCE = 0.1, 20, 100, 10, 10
SPLITS = {"train": slice(0, EXAMPLES), "validation": slice(EXAMPLES, 2 * EXAMPLES), "test": slice(2 * EXAMPLES, None)}
MODEL = models.MLP(hidden_sizes=(64, 64))


class Settings(NamedTuple):
    """The strengths of the regularizers of a network."""

    l2: float = 0.0
    l1: float = 0.0
    l1_subgradient: float = 0.0
    dropout_inputs: float = 0.0
    dropout_hidden: float = 0.0
    shift: float = 0.0
    degrees: float = 0.0


METHODS = {
    "plain": Settings(),
    "L2": Settings(l2=0.01),
    "L1": Settings(l1=0.001),
    "L1 by subgradient": Settings(l1_subgradient=0.001),
    "dropout": Settings(dropout_inputs=0.2, dropout_hidden=0.5),
    "augmentation": Settings(shift=1.0, degrees=10.0),
    **{f"member {i}": Settings() for i in range(MEMBERS)},
}
PENALTIES = ("plain", "L2", "L1", "L1 by subgradient")
REGULARIZERS = ("dropout", "early stopping", "augmentation", "bagging")


@dataclass(frozen=True)
class Config(Repeated):
    """Regularizers on few digits."""

    SMOKE = {"seeds": 2, "epochs": 1}

    epochs: int = 200
    """Passes over the training digits."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks, measure, judge, draw."""
    seeds = config.seeds
    dataset = data.digits()
    arrays = {name: np.concatenate([dataset.train[name], dataset.test[name]]) for name in ("image", "label")}
    order = orders(len(arrays["label"]), seeds, seed=config.seed)
    states, history = train_all(jax.random.key(config.seed), arrays, order, config.epochs)
    logits = np.asarray(predict(states.params, arrays["image"])).reshape(len(METHODS), seeds, -1, MODEL.num_classes)
    outputs = dict(zip(METHODS, logits[:-MEMBERS], strict=False))
    outputs["bagging"] = np.asarray(ensemble.average_predictions(logits[-MEMBERS:]))
    measured = {name: jax.device_get(measure(output, arrays["label"], order)) for name, output in outputs.items()}
    measured["early stopping"] = at_early_stop(history, "validation_loss", PATIENCE)
    weights = {name: kernels(states.params, i, seeds) for i, name in enumerate(METHODS) if name in PENALTIES}
    judge_weights(run, weights)
    judge_gaps(run, measured)
    run.figure("gap", draw_gaps(measured))
    run.figure("weights", draw_weights(weights))
    run.figure("early_stopping", draw_history(history))
    errors = {f"{name}_test_error": float(np.mean(m["test_error"])) for name, m in measured.items()}
    gaps = {f"{name}_gap": float(np.mean(m["test_error"] - m["train_error"])) for name, m in measured.items()}
    return {name.replace(" ", "_"): value for name, value in (errors | gaps).items()}


def make_optimizer(settings: Settings) -> optax.GradientTransformation:
    """Make gradient descent with the penalties on the kernels."""
    return optax.chain(
        optim.add_decayed_weights(settings.l2, "kernel$"),
        optim.add_l1_subgradient(settings.l1_subgradient, "kernel$"),
        optim.sgd(RATE),
        optim.proximal_l1(settings.l1, RATE, "kernel$"),
    )


def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
    """Return the cross-entropy of a batch under the augmentation and dropout of the settings."""
    settings, params = variables["settings"], variables["params"]
    keys = jax.random.split(key, 5)
    x = augmentation.shift(keys[0], batch["image"], settings.shift, settings.shift)
    x = augmentation.rotate(keys[1], x, (-settings.degrees, settings.degrees))
    x = noise.dropout(keys[2], x.reshape(len(x), -1), settings.dropout_inputs)
    for number, layer in enumerate(("hidden1", "hidden2")):
        x = activations.relu(linear(x, **params[layer]))
        x = noise.dropout(keys[3 + number], x, settings.dropout_hidden)
    return losses.cross_entropy(linear(x, **params["output"]), batch["label"]), ({"settings": settings}, {})


def step(state: train.TrainState, batch: Batch) -> tuple[train.TrainState, dict[str, Array]]:
    """Update one network, whose state holds its settings."""
    return train.make_step(loss, make_optimizer(state.collections["settings"]))(state, batch)


def train_all(key: Key, arrays: dict, order: np.ndarray, epochs: int) -> tuple[train.TrainState, list[dict]]:
    """Train every method for every seed in one program, ordered by method, then by seed."""
    seeds = len(order)
    bootstraps = np.asarray(ensemble.bootstrap(key, MEMBERS * seeds, EXAMPLES))
    own = np.tile(np.arange(EXAMPLES), ((len(METHODS) - MEMBERS) * seeds, 1))
    samples = np.take_along_axis(np.tile(order, (len(METHODS), 1)), np.concatenate([own, bootstraps]), axis=1)

    settings = jax.tree.map(lambda *leaves: np.repeat(np.array(leaves, np.float32), seeds), *METHODS.values())
    states = start(key, settings, seeds)

    def evaluate(states: train.TrainState) -> dict[str, np.ndarray]:
        plain = jax.tree.map(lambda leaf: leaf[:seeds], states.params)
        return jax.device_get(measure(np.asarray(predict(plain, arrays["image"])), arrays["label"], order))

    return train_on_samples(step, states, arrays, samples, epochs=epochs, batch_size=BATCH, evaluate=evaluate)


def start(key: Key, settings: Settings, seeds: int) -> train.TrainState:
    """Initialize all networks; the methods of a seed share their weights, bagged members have their own."""
    shapes = jax.eval_shape(MODEL.init, key, jnp.zeros((1, 8, 8, 1)))
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    shared = np.tile(np.arange(seeds), len(METHODS) - MEMBERS)
    owner = np.concatenate([shared, np.arange(seeds, seeds * (1 + MEMBERS))])

    def draw_kernel(name: str, leaf: Any) -> np.ndarray:
        drawn = generator.normal(size=(owner.max() + 1, *leaf.shape)) / np.sqrt(leaf.shape[0])
        return (drawn * name.endswith("kernel"))[owner].astype(np.float32)

    variables = tree.map_with_path(draw_kernel, shapes)

    @jax.jit
    @jax.vmap
    def create(variables: PyTree, settings: Settings, key: Key) -> train.TrainState:
        return train.TrainState.create({**variables, "settings": settings}, make_optimizer(settings), key)

    return create(variables, settings, jax.random.split(key, len(settings.l2)))


@jax.jit
def predict(params: PyTree, images: Array) -> Array:
    """Return the logits ``[runs, N, K]`` in test mode."""
    return jax.vmap(lambda params: MODEL.apply({"params": params}, images))(params)


@jax.jit
def measure(logits: Array, labels: Array, order: Array) -> dict[str, Array]:
    """Measure error and loss ``[seeds]`` on each split of logits ``[seeds, N, K]``."""
    labels = jnp.broadcast_to(labels, logits.shape[:2])
    values = {
        "error": 1 - metrics.correct(logits, labels),
        "loss": losses.cross_entropy(logits, labels, reduction="none"),
    }
    ordered = {name: jnp.take_along_axis(value, order, axis=1) for name, value in values.items()}
    return {
        f"{split}_{name}": jnp.mean(value[:, places], axis=1)
        for name, value in ordered.items()
        for split, places in SPLITS.items()
    }


def kernels(params: PyTree, method: int, seeds: int) -> np.ndarray:
    """Return the kernels of a method's networks, flattened to ``[seeds, count]``."""
    leaves = [leaf for name, leaf in tree.flatten(params).items() if name.endswith("kernel")]
    return np.concatenate(
        [np.asarray(leaf)[method * seeds : (method + 1) * seeds].reshape(seeds, -1) for leaf in leaves], 1
    )


def judge_weights(run: Run, weights: dict[str, np.ndarray]) -> None:
    """Judge the effect of the penalties on the weights."""
    zeros = {name: np.mean(w == 0, axis=1) for name, w in weights.items()}
    size = {name: np.linalg.norm(w, axis=1) for name, w in weights.items()}
    for statement, measure, samples in (
        ("L1 (proximal) makes weights exactly zero", "of the weights, more than L2", zeros["L1"] - zeros["L2"]),
        ("L1 (by subgradient) makes weights exactly zero", "of the weights", zeros["L1 by subgradient"]),
        ("L2 makes weights smaller", "of the norm less than without", 1 - size["L2"] / size["plain"]),
    ):
        run.claim(judge(9, statement, measure, samples))


def judge_gaps(run: Run, measured: dict[str, dict[str, np.ndarray]]) -> None:
    """Judge the reduction of the plain network's gap by each regularizer."""
    for kind in ("error", "loss"):
        gap = {name: m[f"test_{kind}"] - m[f"train_{kind}"] for name, m in measured.items()}
        for name in REGULARIZERS:
            statement = f"{name} cuts the generalisation gap in the {kind}"
            run.claim(judge(10, statement, f"less gap, of {gap['plain'].mean():.3f}", gap["plain"] - gap[name]))


def draw_gaps(measured: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw error and loss on the training and the test digits, with intervals over the seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), sharey=True)
    names = ["plain", *REGULARIZERS, "L2", "L1"]
    for axis, kind in zip(axes, ("error", "loss"), strict=True):
        samples = {part: [measured[name][f"{part}_{kind}"] for name in names] for part in ("train", "test")}
        plot_gaps(axis, names, samples, within=(0, 1 if kind == "error" else np.inf))
        axis.set_title(f"{kind}: the grey line is the gap")
    axes[0].legend(frameon=False)
    return figure


def draw_weights(weights: dict[str, np.ndarray]) -> Figure:
    """Draw how the weights are distributed under each penalty."""
    figure, axes = plt.subplots(1, len(weights), figsize=(13, 3.2), sharey=True)
    edges = np.linspace(-0.4, 0.4, 82)
    for axis, (name, w) in zip(axes, weights.items(), strict=True):
        plot_distribution(axis, w, edges, COLOURS[0])
        seen = f"{np.mean(w == 0):.0%} are zero, norm {np.linalg.norm(w, axis=1).mean():.1f}"
        axis.set(title=f"{name}\n{seen}", yscale="log")
        axis.set_xlabel("weight")
    axes[0].set_ylabel("share")
    return figure


def draw_history(history: list[dict[str, Any]]) -> Figure:
    """Draw the plain network's losses over the epochs, averaged over the seeds."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    rows = [row for row in history if "evaluation/train_loss" in row]
    for split in SPLITS:
        axis.plot([row["epoch"] for row in rows], [row[f"evaluation/{split}_loss"].mean() for row in rows], label=split)
    axis.set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title="Without regularization")
    axis.legend(frameon=False)
    return figure
