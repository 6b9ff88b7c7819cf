"""Which words moved the sentiment? Integrated gradients of reviews, from the word vectors.

    python -m experiments run text_attribution [--data-dir FOLDER] [--network recurrent]

The classifiers and reviews are those of the experiment sentiment. The score is the logit of "positive" less that of
"negative"; a word's attribution is integrated from the vector of the padding to its own, and summed over the vector.
``completeness_error`` is the largest difference between the sum over the words and the difference of the scores, and
``correlation`` the mean one with leaving each word out. For the generated reviews, ``praise_plain`` and
``praise_negated`` are the mean attributions of praising adjectives, without and behind a negation.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.errors import preparing
from experiments.harness.members import train_configured
from experiments.harness.run_folder import Run
from experiments.sequences import sentiment
from jaxdl import data, interpret, train
from jaxdl.data.sources.templates import GOOD, NEGATIONS, negated_reviews
from jaxdl.data.text import words
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.tasks.sequences import sequence_classification
from jaxdl.typing import Array


@dataclass(frozen=True)
class Config(sentiment.Config):
    """Words that moved the sentiment."""

    SMOKE = {**sentiment.Config.SMOKE, "examples": 2}

    network: Literal["averaging", "recurrent", "convolutional"] = "recurrent"
    """Network of the experiment sentiment."""
    examples: int = 12
    """Reviews to show, of those that are measured."""
    seeds: int = 1
    epochs: float = 4.0


def run(config: Config, run: Run) -> dict[str, float]:
    """Train a classifier, attribute the test reviews to their words, compare with leaving words out, draw."""
    with preparing():
        folder = config.data_dir
        templates = negated_reviews(config.seed, config.most) if folder is None else None
        texts = sentiment.read_reviews(config, folder) if templates is None else templates
        texts["words"] = np.fromiter((words(text.lower()) for text in texts.pop("text")), object)
        learned, tested = data.split(texts, 1 / 3, seed=config.seed)
    vocabulary = Vocabulary.build(itertools.chain(*learned["words"]), max_size=config.vocab_size, min_count=2)
    arrays, test = (sentiment.encode(part, vocabulary, config.length) for part in (learned, tested))
    model = sentiment.make_models(len(vocabulary), config)[config.network]
    task = sequence_classification(model)
    variables = train_configured(task, arrays, config)[0][0]
    count = min(len(test["label"]), 64)
    tokens, lengths = test["token"][:count], test["length"][:count]

    def score(tokens: Array) -> Array:
        logits = model.apply(variables, tokens, lengths)
        return logits[:, 1] - logits[:, 0]

    attributions, error, left_out = jax.device_get(jax.jit(lambda tokens: explain(score, tokens))(tokens))
    shown = slice(config.examples)
    read = [vocabulary.decode(row[:n]) for row, n in zip(tokens[shown], lengths[shown], strict=True)]
    run.figure("words", draw(read, attributions[shown], np.asarray(score(tokens))[shown]))
    pairs = zip(attributions, left_out, lengths, strict=True)
    correlation = [np.corrcoef(a[:n], b[:n])[0, 1] for a, b, n in pairs if n > 2]
    result = {
        "accuracy": float(train.make_evaluation(task.measure, test)(variables)["accuracy"]),
        "completeness_error": float(error.max()),
        "correlation": float(np.nanmean(correlation)),
    }
    return result | ({} if templates is None else measure_praise(vocabulary, tokens, attributions))


def explain(score: Callable[[Array], Array], tokens: Array) -> tuple[Array, Array, Array]:
    """Return integrated gradients of every word, their completeness error, and the falls without each word."""
    attributions, error = interpret.attribute_tokens(score, tokens, "embedding", 0, steps=100)

    def without(place: Array) -> Array:
        return score(tokens) - score(tokens.at[:, place].set(0))

    return attributions, error, jax.lax.map(without, jnp.arange(tokens.shape[1])).T


def measure_praise(vocabulary: Vocabulary, tokens: np.ndarray, attributions: np.ndarray) -> dict[str, float]:
    """Return the mean attribution of praising adjectives whose judgement has a negation before it, and of others."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for row, values in zip(tokens, attributions, strict=True):
        denied = False
        for word, value in zip(vocabulary.decode(row), values, strict=True):
            denied = (denied or word in NEGATIONS) and word != ","
            if word in GOOD:
                found[denied].append(float(value))
    return {f"praise_{'negated' if key else 'plain'}": float(np.mean(values or [0.0])) for key, values in found.items()}


def draw(read: list[list[str]], attributions: np.ndarray, scores: np.ndarray) -> Figure:
    """Write the first words of the reviews on a ground of their attribution: blue positive, red negative."""
    columns = min(24, max(map(len, read)))
    figure, axis = plt.subplots(figsize=(0.62 * columns + 1, 0.36 * len(read) + 0.6))
    values = attributions[:, :columns]
    limit = np.abs(values).max()
    axis.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for row, sentence in enumerate(read):
        for column, word in enumerate(sentence[:columns]):
            axis.text(column, row, word, ha="center", va="center", fontsize=7)
    axis.set_yticks(range(len(read)), [f"{score:+.1f}" for score in scores])
    axis.set(xticks=[], title="words and the score of each review")
    axis.grid(visible=False)
    return figure
