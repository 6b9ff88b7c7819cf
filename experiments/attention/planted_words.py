"""Hierarchical attention on documents whose class is given by one word of one sentence.

    python -m experiments run planted_words

Documents have 3 to 6 sentences of 4 to 8 words without meaning. In the first task one sentence contains a key word, of
eight for four classes. In the second every other sentence has a key word of another class with probability 1/2; the
class is that of the key beside a cue, a word that also occurs in sentences without a key. A hierarchical attention
network (Yang et al., 2016; bidirectional GRUs of 16 units) learns the class alone. A sentence is found if its weight is
the largest of the document, a word if its weight is the largest of its sentence, on new documents. The claim holds if
that is so in more than half of the documents; by chance it would be in a quarter or a sixth.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.members import train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequence_plots import bars_of_runs, panels, show_weights, write_words
from experiments.harness.sequence_settings import OnExamples
from jaxdl import tree
from jaxdl.models.sequence.hierarchical import HierarchicalAttentionNetwork
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import sequence_classification
from jaxdl.typing import PyTree

CLAIMS = (24,)
SENTENCES, WORDS, FILLERS, CLASSES, KEYS = (3, 6), (4, 8), 40, 4, 2
FIRST_KEY = 1 + FILLERS
CUE = FIRST_KEY + CLASSES * KEYS
TASKS = {"a key word": False, "a key word beside a cue": True}


@dataclass(frozen=True)
class Config(OnExamples):
    """Small hierarchical attention networks."""

    LEAST_SEEDS = 2
    SMOKE = {
        "seeds": 2,
        "documents": 8,
        "tested": 2,
        "epochs": 1.0,
        "tasks": (2,),
        "cell": "vanilla",
        "hidden_size": 2,
    }

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

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, documents=1, tested=1, hidden_size=1)


def draw_documents(seed: int, count: int, cued: bool) -> dict[str, np.ndarray]:
    """Draw documents ``"token"`` ``[count, N, T]``, the ``"length"`` of every sentence, 0 for none, and ``"label"``.

    ``"place"`` ``[count, 3]`` says which sentence was planted, at which word the key is, and the cue, -1 for none.
    """
    random = np.random.default_rng(seed)
    token = np.zeros((count, SENTENCES[1], WORDS[1]), np.int32)
    length, place = np.zeros(token.shape[:2], np.int32), np.full((count, 3), -1)
    label = random.integers(CLASSES, size=count, dtype=np.int32)
    for n in range(count):
        sentences = random.integers(SENTENCES[0], SENTENCES[1] + 1)
        length[n, :sentences] = random.integers(WORDS[0], WORDS[1] + 1, size=sentences)
        planted = random.integers(sentences)
        for i, words in enumerate(length[n, :sentences]):
            token[n, i, :words] = random.integers(1, FIRST_KEY, size=words)
            key, cue = random.choice(words, 2, replace=False)
            other = (label[n] + random.integers(1, CLASSES)) % CLASSES
            decoy = "key" if random.random() < 0.5 else "cue"
            if i == planted or (cued and decoy == "key"):
                kind = label[n] if i == planted else other
                token[n, i, key] = FIRST_KEY + kind * KEYS + random.integers(KEYS)
            if cued and (i == planted or decoy == "cue"):
                token[n, i, cue] = CUE
            if i == planted:
                place[n] = i, key, cue if cued else -1
    return {"token": token, "length": length, "label": label, "place": place}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on the classes, compare the attention with the planted words, judge, draw."""
    size, counts = config.hidden_size, (config.documents, config.tested)
    cell = cells.GRU(size) if config.cell == "gru" else cells.Vanilla(size)
    model = HierarchicalAttentionNetwork(CUE + 1, CLASSES, size, cell, attention_dim=size)
    settings = replace(config, batch_size=min(config.batch_size, config.documents))
    found, shown, result = {}, {}, {}
    for number in config.tasks:
        name, cued = list(TASKS.items())[number - 1]
        learned, test = (draw_documents(2 * config.seed + part, n, cued) for part, n in enumerate(counts))
        arrays = {key: learned[key] for key in ("token", "length", "label")}
        members, _ = train_configured(sequence_classification(model), arrays, settings)
        weights = attend(model, members, test)
        found[name], shown[name] = find(weights, test), (test, weights)
        result |= {f"{key}_{number}": float(np.mean(values)) for key, values in found[name].items()}
        assess(run, name, found[name])
    run.figure("found", draw_found(found))
    run.figure("documents", draw_looks(shown))
    return result


def attend(model: HierarchicalAttentionNetwork, members: list[PyTree], test: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the predicted classes and the weights of words and sentences of every network, ``[seeds, ...]``."""

    @jax.jit
    @jax.vmap
    def see(variables: PyTree) -> dict[str, jax.Array]:
        logits, features = model.apply(variables, test["token"], test["length"], return_intermediates=True)
        weights = {name: features[f"{name}_attention"] for name in ("word", "sentence")}
        return {"predicted": jnp.argmax(logits, axis=-1), **weights}

    return jax.device_get(see(tree.stack(members)))


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


def assess(run: Run, name: str, found: dict[str, np.ndarray]) -> None:
    """Judge by the share of documents of every run."""
    for what, words in (("sentence", "sentence"), ("key", "key word in it")):
        statement = f"{name}: the planted {words} has the largest weight in more than half of the documents"
        run.claim(judge(24, statement, "share of documents", found[what], above=0.5, within=(0, 1)))


def draw_found(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the shares of every run."""
    figure, axes = panels(len(found), size=(5, 3.4), sharey=True)
    for axis, (name, shares) in zip(axes[0], found.items(), strict=True):
        bars_of_runs(axis, shares)
        axis.set(title=name, ylim=(0, 1.02))
    axes[0, 0].set_ylabel("share of documents")
    return figure


def draw_looks(shown: dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]]) -> Figure:
    """Draw the attention of the first network in two documents of each task."""
    figure, axes = panels(2, size=(6, 3), rows=len(shown))
    for row, (name, (test, weights)) in zip(axes, shown.items(), strict=True):
        for n, axis in enumerate(row):
            draw_document(axis, test, weights, n)
            axis.set_title(f"{name}, class {test['label'][n]}", fontsize=9)
    return figure


def draw_document(axis: Axes, test: dict[str, np.ndarray], attention: dict[str, Any], n: int) -> None:
    """Draw a document, a sentence per row: the weight of the sentence on the left, those of its words behind them."""
    count = int((test["length"][n] > 0).sum())
    weights = np.concatenate([attention["sentence"][0, n, :count, None], attention["word"][0, n, :count]], axis=1)
    show_weights(axis, weights)
    length, token = test["length"][n, :count], test["token"][n]
    write_words(axis, [[spell(t) for t in token[i, :words]] for i, words in enumerate(length)], weights, first=1)
    axis.axvline(0.5, color="black", linewidth=1)
    axis.set_xticks([0], ["sentence"])


def spell(token: int) -> str:
    """Return the text of a token in the figure."""
    if token >= FIRST_KEY:
        return "CUE" if token == CUE else f"KEY {(token - FIRST_KEY) // KEYS}"
    return f"w{token}"
