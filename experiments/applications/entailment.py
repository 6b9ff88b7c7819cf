"""Does one sentence follow from another: an encoder pair, aligned words, and a transformer that reads both together.

    python -m experiments run entailment [--models decomposable bert] [--table FILE]

"Every dog runs" entails "some old poodle moves" and contradicts "no beagle runs". A sentence has a quantifier, perhaps
an adjective, a noun and a verb; the label of a pair is computed from the extensions of its words: what is said of every
dog holds for poodles, what is said of some poodle holds for some dog. All three labels are equally frequent; test pairs
are new, their words are not. LSTMs in both directions encode the sentences separately (Conneau et al., 2017);
decomposable attention compares each word with those of the other sentence, whatever their order (Parikh et al., 2016);
a small BERT reads both with a separator and segments. With a table, pairs and labels are those of a TSV file: premise,
hypothesis, label.

Goal, set before the run: 95 % of the test by the BERT. Chance is 33 %, and what the hypothesis alone tells is measured.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import linen

from experiments.applications import drawings
from experiments.harness.applications.inference import (
    DecomposablePair,
    EncoderPair,
    draw_pairs,
    encode_pairs,
    read_pairs,
)
from experiments.harness.configuration import Config as Base
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import draw_alignments
from experiments.harness.supervised import Optimizer
from jaxdl import data, tasks, train
from jaxdl.data.vocabulary import PAD, UNK, Vocabulary
from jaxdl.models import BERT
from jaxdl.typing import PyTree

GOAL = {"bert_accuracy": 0.95}
SEPARATOR = "<separator>"
MODELS = ("encoder_pair", "decomposable", "bert")


@dataclass(frozen=True)
class Config(Base):
    """Classifiers of pairs."""

    SMOKE = {
        "pairs": 30,
        "tested": 6,
        "models": ("decomposable", "bert"),
        "hidden_size": 4,
        "num_layers": 1,
        "epochs": 1.0,
        "batch_size": 8,
    }
    POSITIVE = ("epochs",)
    CHOICES = {"models": (MODELS, ("bert",))}

    table: Path | None = None
    """TSV file of premises, hypotheses and labels; None for generated pairs."""
    pairs: int = 6000
    """Largest number of pairs of the training."""
    tested: int = 600
    """Largest number of pairs of the test."""
    models: tuple[str, ...] = MODELS
    """Classifiers; the attention of the BERT is drawn."""
    hidden_size: int = 48
    """Size of the states, and width of the BERT: a multiple of 4."""
    num_layers: int = 2
    """Blocks of the BERT."""
    epochs: float = 60.0
    """Passes over the pairs."""
    batch_size: int = 64
    """Pairs in an update."""
    learning_rate: float = 1e-3
    """Largest learning rate of Adam, with a warmup and a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all, print pairs with their answers, draw what the words attended to."""
    count = config.pairs + config.tested
    pairs = draw_pairs(config.seed, count) if config.table is None else read_pairs(config.table)
    labels = sorted({label for _, _, label in pairs})
    if len(pairs) < 10 or len(labels) < 2:
        raise UsageError(f"expected at least 10 pairs with 2 labels, got {len(pairs)} with {labels}")
    pairs = [pairs[n] for n in data.permutation(len(pairs), config.seed, 0)]
    held = min(config.tested, len(pairs) // 5)
    learned, test = pairs[held:][: config.pairs], pairs[:held]
    words = [word for a, b, _ in learned for word in (*a.split(), *b.split())]
    vocabulary = Vocabulary.build(words, special_tokens=(PAD, UNK, SEPARATOR))
    longest = max(len(a.split()) + len(b.split()) for a, b, _ in pairs) + 1
    arrays, tested = (encode_pairs(part, vocabulary, labels, SEPARATOR, longest) for part in (learned, test))
    size = config.hidden_size
    fields = {"vocab_size": len(vocabulary), "context_length": longest, "d_model": size, "mlp_dim": 4 * size}
    # Every word of these sentences decides: a classifier that drops some of them learns slowly.
    dropout = dict.fromkeys(("dropout_rate", "attention_dropout_rate"), 0.0)
    models: dict[str, linen.Module] = {
        "encoder_pair": EncoderPair(len(vocabulary), len(labels), size),
        "decomposable": DecomposablePair(len(vocabulary), len(labels), size),
        "bert": BERT("classification", len(labels), **fields, **dropout, num_layers=config.num_layers, num_heads=4),
    }
    result, predicted, variables = {"hypothesis_only_accuracy": hypothesis_only(learned, test)}, {}, {}
    for name, model in models.items():
        if name not in config.models:
            continue
        variables = learn(config, model, arrays)
        options = {"lengths": tested["length"], "segment": tested["segment"]}
        logits = jax.jit(lambda v, x, model=model, options=options: model.apply(v, x, **options))(
            variables, tested["token"]
        )
        predicted[name] = np.argmax(logits, axis=-1)
        result[f"{name}_accuracy"] = float(np.mean(predicted[name] == tested["label"]))
    for row, (premise, hypothesis, label) in enumerate(test[:8]):
        answer = labels[predicted["bert"][row]]
        text = f"{premise:>24} | {hypothesis:<24} {answer}{'' if answer == label else f'   expected {label}'}"
        run.console.print(text, highlight=False, markup=False)
    run.figure("attention", draw_alignments(look(models["bert"], variables, tested, vocabulary), ("looks at", "word")))
    scores = {name.removesuffix("_accuracy"): value for name, value in result.items()}
    run.figure("accuracy", drawings.draw_scores({"new pairs": scores}, "accuracy"))
    return result


def learn(config: Config, model: linen.Module, arrays: dict[str, np.ndarray]) -> PyTree:
    """Train a classifier of pairs; return its variables."""
    task = tasks.sequence_classification(model)
    loader = data.Loader(arrays, min(config.batch_size, len(arrays["label"])), seed=config.seed)
    settings = Optimizer("adam", config.learning_rate, warmup=0.1, clip_norm=1.0)
    optimizer = settings.make(train.count_steps(config.epochs, loader.steps_per_epoch))
    keys = jax.random.split(jax.random.key(config.seed))
    first = loader.batch(0)
    options = {"lengths": first["length"], "segment": first["segment"]}
    variables = jax.jit(lambda key: model.init(key, first["token"], **options))(keys[0])
    state = train.TrainState.create(variables, optimizer, keys[1])
    options = {"epochs": config.epochs, "hooks": [train.StopAtNonfinite()]}
    state, _ = train.fit(train.make_step(task.loss, optimizer), state, loader, **options)
    return state.variables


def hypothesis_only(learned: list[tuple[str, str, str]], test: list[tuple[str, str, str]]) -> float:
    """Return the accuracy of the most frequent label of each hypothesis, of the training."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for _, hypothesis, label in learned:
        counts[hypothesis][label] += 1
    common = Counter(label for _, _, label in learned).most_common(1)[0][0]
    guesses = [counts[b].most_common(1)[0][0] if b in counts else common for _, b, _ in test]
    return float(np.mean([guess == label for guess, (_, _, label) in zip(guesses, test, strict=True)]))


def look(
    model: linen.Module, variables: PyTree, test: dict[str, np.ndarray], vocabulary: Vocabulary
) -> list[tuple[np.ndarray, list[str], list[str]]]:
    """Return the attention of the last block, the mean of its heads, in four test pairs, with their words."""
    part = {name: array[:4] for name, array in test.items()}
    options = {"lengths": part["length"], "segment": part["segment"], "return_intermediates": True}
    _, out = jax.jit(partial(model.apply, **options))(variables, part["token"])
    last = max(name for name in out if name.endswith("_attention"))
    weights = np.asarray(out[last]).mean(axis=1)
    shown = []
    for each, row, length in zip(weights, part["token"], part["length"], strict=True):
        words = ["|" if word == SEPARATOR else word for word in vocabulary.decode(row[:length])]
        shown.append((each[:length, :length], words, words))
    return shown
