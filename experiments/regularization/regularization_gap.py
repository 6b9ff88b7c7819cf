"""The effect of penalties on the weights, and of four regularizers on the generalization gap, on few digits.

    python -m experiments run regularization_gap

A network 64-64-64-10 learns scikit-learn's digits from 100 of them; 100 others validate early stopping, and the other
1,597 are the test. 16 seeds draw the digits and the initialization, which all methods of a seed share. Six methods and
ten bagged members per seed, 256 networks, are trained as one mapped step: 200 epochs of gradient descent at the rate
0.1 with batches of 20; L2 0.01; L1 0.001, by its proximal operator and by its subgradient; dropout of 0.2 of the inputs
and 0.5 of the hidden units; shifts of up to one pixel and rotations of up to 10 degrees; early stopping with patience
10. The gap is the error, or the loss, on the test minus that on the training digits, both in test mode.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import optax

from experiments.harness.claims import Statement, judge_all
from experiments.harness.members import Repeated, apply_members, at_early_stop, measure_splits, orders, train_on_samples
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize_dense
from experiments.regularization import drawings
from jaxdl import data, losses, models, optim, train, tree
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


measure = jax.jit(partial(measure_splits, splits=SPLITS))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks, measure, judge, draw."""
    seeds = config.seeds
    dataset = data.digits()
    arrays = {name: np.concatenate([dataset.train[name], dataset.test[name]]) for name in ("image", "label")}
    order = orders(len(arrays["label"]), seeds, seed=config.seed)
    states, history = train_all(jax.random.key(config.seed), arrays, order, config.epochs)
    logits = np.asarray(apply_members(MODEL, states.params, arrays["image"])).reshape(
        len(METHODS), seeds, -1, MODEL.num_classes
    )
    outputs = dict(zip(METHODS, logits[:-MEMBERS], strict=False))
    outputs["bagging"] = np.asarray(ensemble.average_predictions(logits[-MEMBERS:]))
    measured = {name: jax.device_get(measure(output, arrays["label"], order)) for name, output in outputs.items()}
    measured["early stopping"] = at_early_stop(history, "validation_loss", PATIENCE)
    by_method = {name: slice(i * seeds, (i + 1) * seeds) for i, name in enumerate(METHODS)}
    weights = {name: kernels(tree.take(states.params, by_method[name])) for name in PENALTIES}
    judge_all(run, statements(weights, measured))
    run.figure("gap", drawings.draw_gaps(measured, ["plain", *REGULARIZERS, "L2", "L1"]))
    run.figure("weights", drawings.draw_weights(weights))
    run.figure("early_stopping", drawings.draw_history(history, tuple(SPLITS)))
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
        return jax.device_get(measure(np.asarray(apply_members(MODEL, plain, arrays["image"])), arrays["label"], order))

    return train_on_samples(step, states, arrays, samples, epochs=epochs, batch_size=BATCH, evaluate=evaluate)


def start(key: Key, settings: Settings, seeds: int) -> train.TrainState:
    """Initialize all networks; the methods of a seed share their weights, bagged members have their own."""
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    shared = np.tile(np.arange(seeds), len(METHODS) - MEMBERS)
    owner = np.concatenate([shared, np.arange(seeds, seeds * (1 + MEMBERS))])
    drawn = initialize_dense(generator, MODEL, np.zeros((1, 8, 8, 1), np.float32), seeds * (1 + MEMBERS))
    variables = tree.take(drawn, owner)

    @jax.jit
    @jax.vmap
    def create(variables: PyTree, settings: Settings, key: Key) -> train.TrainState:
        return train.TrainState.create({**variables, "settings": settings}, make_optimizer(settings), key)

    return create(variables, settings, jax.random.split(key, len(settings.l2)))


def kernels(params: PyTree) -> np.ndarray:
    """Return all kernels of networks, flattened to ``[runs, count]``."""
    leaves = [np.asarray(leaf) for name, leaf in tree.flatten(params).items() if name.endswith("kernel")]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def statements(weights: dict[str, np.ndarray], measured: dict[str, dict[str, np.ndarray]]) -> Iterator[Statement]:
    """State the effect of the penalties on the weights, and that of each regularizer on the plain network's gap."""
    zeros = {name: np.mean(w == 0, axis=1) for name, w in weights.items()}
    size = {name: np.linalg.norm(w, axis=1) for name, w in weights.items()}
    statement = "L1 (proximal) makes weights exactly zero"
    yield Statement(9, statement, "of the weights, more than L2", zeros["L1"] - zeros["L2"])
    statement = "L1 (by subgradient) makes weights exactly zero"
    yield Statement(9, statement, "of the weights", zeros["L1 by subgradient"])
    statement = "L2 makes weights smaller"
    yield Statement(9, statement, "of the norm less than without", 1 - size["L2"] / size["plain"])
    for kind in ("error", "loss"):
        gap = {name: m[f"test_{kind}"] - m[f"train_{kind}"] for name, m in measured.items()}
        for name in REGULARIZERS:
            statement = f"{name} cuts the generalisation gap in the {kind}"
            yield Statement(10, statement, f"less gap, of {gap['plain'].mean():.3f}", gap["plain"] - gap[name])
