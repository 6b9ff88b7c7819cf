"""Hierarchical attention on documents whose class is given by one word of one sentence.

    python -m experiments run planted_words

Documents have 3 to 6 sentences of 4 to 8 words without meaning. In the first task one sentence contains a key word, of
eight for four classes. In the second every other sentence has a key word of another class with probability 1/2; the
class is that of the key beside a cue, a word that also occurs in sentences without a key. A hierarchical attention
network (Yang et al., 2016; bidirectional GRUs of 16 units) learns the class alone. A sentence is found if its weight is
the largest of the document, a word if its weight is the largest of its sentence, on new documents. The claim holds if
that is so in more than half of the documents; by chance it would be in a quarter or a sixth.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.attention import drawings
from experiments.harness.claims import Statement, judge_all
from experiments.harness.members import train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequences.settings import OnExamples
from jaxdl import tree
from jaxdl.data.sources import documents
from jaxdl.models.sequence.hierarchical import HierarchicalAttentionNetwork
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import sequence_classification
from jaxdl.typing import PyTree

CLAIMS = (24,)
TASKS = {"a key word": False, "a key word beside a cue": True}


@dataclass(frozen=True)
class Config(OnExamples):
    """Small hierarchical attention networks."""

    LEAST = {"seeds": 2}
    SMOKE = {"seeds": 2, "documents": 8, "tested": 2, "epochs": 1.0, "tasks": (2,), "cell": "vanilla", "hidden_size": 2}

    seeds: int = 5
    documents: int = 4000
    """Training documents."""
    tested: int = 500
    """Test documents."""
    batch_size: int = 32
    learning_rate: float = 0.01
    tasks: tuple[Literal[1, 2], ...] = (1, 2)
    """Tasks: without and with the cue."""
    cell: Literal["gru", "vanilla"] = "gru"
    """Recurrent cell."""
    hidden_size: int = 16
    """Size of states, embeddings and attention vectors."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on the classes, compare the attention with the planted words, judge, draw."""
    size, counts = config.hidden_size, (config.documents, config.tested)
    cell = cells.GRU(size) if config.cell == "gru" else cells.Vanilla(size)
    model = HierarchicalAttentionNetwork(documents.VOCAB_SIZE, documents.NUM_CLASSES, size, cell, attention_dim=size)
    settings = replace(config, batch_size=min(config.batch_size, config.documents))
    found, shown, result = {}, {}, {}
    for number in config.tasks:
        name, cued = list(TASKS.items())[number - 1]
        learned, test = (
            documents.planted_documents(2 * config.seed + part, n, cued=cued) for part, n in enumerate(counts)
        )
        arrays = {key: learned[key] for key in ("token", "length", "label")}
        members, _ = train_configured(sequence_classification(model), arrays, settings)
        weights = attend(model, members, test)
        found[name], shown[name] = find(weights, test), (test, weights)
        result |= {f"{key}_{number}": float(np.mean(values)) for key, values in found[name].items()}
        judge_all(run, statements(name, found[name]))
    run.figure("found", drawings.draw_found(found))
    run.figure("documents", drawings.draw_looks(shown))
    return result


def attend(model: HierarchicalAttentionNetwork, members: list[PyTree], test: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the predicted classes and the weights of words and sentences of every network, ``[seeds, ...]``."""

    @jax.jit
    @jax.vmap
    def see(variables: PyTree) -> dict[str, jax.Array]:
        logits, features = model.apply(variables, test["token"], test["length"], return_intermediates=True)
        weights = {name: features[f"{name}_attention"] for name in ("word", "sentence")}
        return {"predicted": jnp.argmax(logits, axis=-1), **weights}

    return jax.device_get(see(jax.jit(tree.stack)(members)))


def find(weights: dict[str, Any], test: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the accuracy and the shares of documents with the largest weight on the planted words, ``[seeds]``."""
    sentence, key, cue = test["place"].T
    largest = weights["word"][:, np.arange(len(sentence)), sentence].argmax(axis=-1)
    found = {
        "accuracy": weights["predicted"] == test["label"],
        "sentence": weights["sentence"].argmax(axis=-1) == sentence,
        "key": largest == key,
        "key_or_cue": (largest == key) | (largest == cue),
    }
    return {name: values.mean(axis=1) for name, values in found.items()}


def statements(name: str, found: dict[str, np.ndarray]) -> Iterator[Statement]:
    """State the claim by the share of documents of every run."""
    for what, words in (("sentence", "sentence"), ("key", "key word in it")):
        statement = f"{name}: the planted {words} has the largest weight in more than half of the documents"
        yield Statement(24, statement, "share of documents", found[what], 0.5, within=(0, 1))
