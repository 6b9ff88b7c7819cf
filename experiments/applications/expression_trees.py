"""The value of a Python expression: a recursive network on its tree against a reader of its text.

    python -m experiments run expression_trees

Expressions of digits below 5, +, - and * have a value modulo 5. Python's ast gives their tree. A tree LSTM computes a
vector for every node from those of its children, all nodes of a level at once; a bidirectional LSTM of as many
parameters reads the text, parentheses included. Both learn from expressions with one to five operators, the reader on
twice the updates, and are tested on new ones of these and of longer ones.

Goal, set before the run: 95 % of the test right by the tree, for one to five operators. The tree helps if its accuracy
is larger than the reader's for expressions with six to ten operators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.applications.expressions import MODULUS, SIGNS, draw_batches
from experiments.harness.configuration import Config as Base
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import legend, panels
from experiments.harness.supervised import Optimizer
from jaxdl import data, losses, metrics, train, tree
from jaxdl.data.trees import Trees
from jaxdl.models import RecurrentClassifier, RecursiveNetwork
from jaxdl.models.sequence import TreeLSTM
from jaxdl.nn.recurrent.cells import LSTM
from jaxdl.typing import Array, Batch, PyTree

GOAL = {"tree_accuracy": 0.95}
LEARNED = (1, 5)
TESTED = 10
"""The largest number of operators of the test."""


@dataclass(frozen=True)
class Config(Base):
    """A network on trees and one on texts."""

    SMOKE = {"expressions": 64, "tested": 8, "hidden_size": 4, "epochs": 1.0, "batch_size": 16}
    POSITIVE = ("epochs",)

    expressions: int = 6400
    """Expressions of the training."""
    tested: int = 256
    """Expressions of every number of operators in the test."""
    hidden_size: int = 48
    """Size of the states of the tree LSTM."""
    epochs: float = 24.0
    """Passes over the expressions."""
    batch_size: int = 64
    """Expressions in an update; every batch keeps its expressions."""
    learning_rate: float = 6e-3
    """Largest learning rate of Adam, with a warmup and a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both, test them on longer expressions, draw the accuracies."""
    size, room = config.batch_size, (LEARNED[1] + 1, 6 * config.batch_size, 2)
    arrays = draw_batches(config.seed, -(-config.expressions // size), size, LEARNED, room)
    longer = {count: draw_test(config, count) for count in range(LEARNED[0], TESTED + 1)}
    width = config.hidden_size
    models = {
        "tree": (RecursiveNetwork(len(SIGNS), MODULUS, 16, TreeLSTM(width)), read_trees, config.epochs),
        "text": (
            RecurrentClassifier(len(SIGNS), MODULUS, 16, LSTM(max(1, 2 * width // 3)), bidirectional=True),
            read_texts,
            2 * config.epochs,
        ),
    }
    result, curves = {}, {}
    for name, (model, read, epochs) in models.items():
        params = learn(config, model, read, arrays, epochs)
        predict = jax.jit(lambda params, batch, read=read, model=model: metrics.predict(read(model, params, batch)))
        right = {count: float(np.mean(predict(params, part) == part["label"])) for count, part in longer.items()}
        curves[name] = right
        result[f"{name}_accuracy"] = float(np.mean([right[n] for n in range(LEARNED[0], LEARNED[1] + 1)]))
        result[f"{name}_accuracy_of_longer"] = float(np.mean([right[n] for n in range(LEARNED[1] + 1, TESTED + 1)]))
        result[f"{name}_parameters"] = tree.size(params)
        part = longer[LEARNED[1]]
        for row in range(min(4, config.tested)):
            text = "".join(SIGNS[token] for token in part["text"][row, : part["length"][row]])
            value = int(predict(params, part)[row])
            run.console.print(f"{name}  {text} = {value}   ({part['label'][row]})", highlight=False, markup=False)
    figure, ((axis,),) = panels(1, size=(5.6, 3.6))
    for name, right in curves.items():
        axis.plot(list(right), list(right.values()), "o-", label=name)
    axis.axhline(1 / MODULUS, color="black", linewidth=0.8, linestyle=":", label="chance")
    axis.axvspan(*LEARNED, color="tab:gray", alpha=0.15, label="learned")
    axis.set(xlabel="operators of the expression", ylabel="share of right values", ylim=(0, 1.02))
    legend(axis)
    run.figure("lengths", figure)
    result["tree_helps"] = result["tree_accuracy_of_longer"] > result["text_accuracy_of_longer"]
    return result


def draw_test(config: Config, count: int) -> dict[str, np.ndarray]:
    """Draw the test of expressions with ``count`` operators, as one batch; all have one shape, so one program."""
    room, longest = (TESTED + 1, (TESTED + 1) * config.tested, 2), 4 * TESTED + 1
    part = tree.take(draw_batches(config.seed + 1 + count, 1, config.tested, (count, count), room), 0)
    return {**part, "text": np.pad(part["text"], ((0, 0), (0, longest - part["text"].shape[1])))}


def learn(
    config: Config, model: linen.Module, read: Callable[..., Array], arrays: dict[str, np.ndarray], epochs: float
) -> PyTree:
    """Train a network on the batches, in a new order in every epoch; return its parameters."""
    loader = data.Loader(arrays, 1, seed=config.seed)
    settings = Optimizer("adam", config.learning_rate, warmup=0.1, clip_norm=1.0)
    optimizer = settings.make(train.count_steps(epochs, loader.steps_per_epoch))

    def loss(variables: PyTree, batch: Batch, key: Array) -> tuple[Array, tuple[dict, dict]]:
        del key
        batch = {name: array[0] for name, array in batch.items() if name != "mask"}
        return losses.cross_entropy(read(model, variables["params"], batch), batch["label"]), ({}, {})

    first = tree.take(arrays, 0)
    keys = jax.random.split(jax.random.key(config.seed))
    inputs = (_trees(first),) if read is read_trees else (jnp.asarray(first["text"]), jnp.asarray(first["length"]))
    state = train.TrainState.create(jax.jit(partial(model.init, keys[0]))(*inputs), optimizer, keys[1])
    hooks = [train.StopAtNonfinite()]
    state, _ = train.fit(train.make_step(loss, optimizer), state, loader, epochs=epochs, hooks=hooks)
    return state.params


def read_trees(model: linen.Module, params: PyTree, batch: Batch) -> Array:
    """Compute the logits of the values from the trees."""
    return model.apply({"params": params}, _trees(batch))


def read_texts(model: linen.Module, params: PyTree, batch: Batch) -> Array:
    """Compute the logits of the values from the texts."""
    return model.apply({"params": params}, batch["text"], batch["length"])


def _trees(batch: Batch) -> Trees:
    return Trees(*(batch[name] for name in Trees._fields))
