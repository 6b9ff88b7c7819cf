"""Summaries that copy: a pointer-generator against attention alone, on words that were never seen.

    python -m experiments run summarization [--source docstrings] [--table FILE]

A report of eight sentences has two events, and its summary a clause for each: "vodira wins chess final of
tamoki with 4718 points". Names and numbers are drawn anew for every report, so that hardly one of the test occurs in
the training; a dozen others are in the report and not in the summary. The pointer-generator (See et al., 2017) mixes
the probabilities of its vocabulary with its attention to the words of the report, with coverage; an encoder-decoder
with Luong's attention and equal sizes has the vocabulary alone. The source "docstrings" has the first lines of the
docstrings of the standard library for the code of their functions; a table is a TSV file of documents and summaries.

Scores of beam search, ROUGE by rouge-score. Goals, set before the run: 90 % of the unseen words of the summaries are
copied, and ROUGE-L is 0.9.
"""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from flax import linen

from experiments.applications import drawings
from experiments.harness.applications import reports
from experiments.harness.applications.transduction import SequenceGeneration, learn, search_tokens
from experiments.harness.applications.translations import exact_share, rouge
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import Run
from jaxdl import data
from jaxdl.data.vocabulary import BOS, SPECIAL_TOKENS, Vocabulary
from jaxdl.models import LuongEncoderDecoder, PointerGenerator
from jaxdl.nn.recurrent.cells import LSTM
from jaxdl.tasks.seq2seq import shift_right, translation
from jaxdl.typing import PyTree

GOAL = {"pointer_copied": 0.9, "pointer_rouge_l": 0.9}
KINDS = ("rouge1", "rouge2", "rougeL")
MODELS = ("attention", "pointer")
SHOWN = 3


@dataclass(frozen=True)
class Config(SequenceGeneration):
    """Two networks of equal sizes."""

    SMOKE = {**SequenceGeneration.SMOKE, "documents": 16, "tested": 4, "embedding_dim": 4, "models": ("pointer",)}
    CHOICES = {"models": (MODELS, ("pointer",))}

    source: Literal["reports", "docstrings"] = "reports"
    """Generated reports, or functions of the standard library."""
    table: Path | None = None
    """TSV file of documents and summaries, in the place of the source."""
    documents: int = 4000
    """Largest number of documents of the training."""
    tested: int = 200
    """Largest number of documents of the test."""
    models: tuple[str, ...] = MODELS
    """Networks; the pointer-generator is trained last."""
    longest: int = 200
    """Largest number of words of a function or of a document of a table."""
    vocab_size: int = 2000
    """Largest size of the vocabulary."""
    min_count: int = 20
    """How often a word of the vocabulary occurs in the documents and summaries of the training."""
    extra_size: int = 40
    """Largest number of unknown words of a document that can be copied."""
    embedding_dim: int = 32
    """Size of the embeddings."""
    coverage_weight: float = 0.1
    """Weight of the loss of repeated attention."""
    epochs: float = 6.0


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both, summarize the test, score, draw which words were copied from where."""
    learned, test = read(config)
    words = chain.from_iterable((*document, *summary) for document, summary in learned)
    min_count = config.min_count if len(learned) > config.min_count else 2
    vocabulary = Vocabulary.build(words, max_size=config.vocab_size, min_count=min_count, special_tokens=SPECIAL_TOKENS)
    sizes = tuple(max(len(report[side]) for report in (*learned, *test)) for side in (0, 1))
    (arrays, _), (tested, extended) = (
        reports.encode_reports(part, vocabulary, config.extra_size, sizes) for part in (learned, test)
    )
    fields = {"cell": LSTM(config.hidden_size), "embedding_dim": config.embedding_dim, "dropout_rate": 0.1}
    models: dict[str, linen.Module] = {
        "attention": LuongEncoderDecoder(len(vocabulary), len(vocabulary), bidirectional=True, **fields),
        "pointer": PointerGenerator(len(vocabulary), config.extra_size, vocabulary.unk_id, **fields),
    }
    result, scores, variables = {}, {}, {}
    for name, model in models.items():
        if name not in config.models:
            continue
        parts = [arrays, tested] if name == "pointer" else [clip(part, vocabulary) for part in (arrays, tested)]
        options = {"coverage_weight": config.coverage_weight} if name == "pointer" else {}
        task = translation(model, bos_id=vocabulary.bos_id, **options)
        variables, measured = learn(config, run, task, *parts, keep=name == "pointer")
        rows = search_tokens(model, variables, parts[1], vocabulary, config.beams)
        own = [each.decode(row, skip_special_tokens=True) for each, row in zip(extended, rows, strict=True)]
        scores[name] = score(own, test, vocabulary)
        result |= {f"{name}_{key}": value for key, value in scores[name].items()}
        result |= {f"{name}_loss": measured["loss"]} if measured else {}
        for summary, (_, true) in list(zip(own, test, strict=True))[:SHOWN]:
            mark = "" if summary == true else f"\n{'expected':>10}  {' '.join(true)}"
            run.console.print(f"{name:>10}  {' '.join(summary)}{mark}", highlight=False, markup=False)
    run.figure("copies", drawings.draw_long_alignments(look(models["pointer"], variables, tested, test)))
    figure = {key: {name: own[key] for name, own in scores.items()} for key in scores["pointer"]}
    run.figure("scores", drawings.draw_scores(figure, "score of beam search"))
    return {**result, "vocabulary": len(vocabulary), "documents": len(learned)}


def read(config: Config) -> tuple[list[reports.Report], list[reports.Report]]:
    """Return the reports of the training and of the test."""
    if config.table is not None:
        found = reports.read_reports(config.table, config.longest)
    elif config.source == "docstrings":
        found = reports.read_docstrings(config.longest)
    else:
        found = reports.draw_reports(config.seed, config.documents + config.tested)
    if len(found) < 10:
        raise UsageError(f"{config.table}: expected at least 10 documents with summaries, got {len(found)}")
    order = data.permutation(len(found), config.seed, 0)
    held = min(config.tested, len(found) // 5)
    return [found[n] for n in order[held:][: config.documents]], [found[n] for n in order[:held]]


def clip(arrays: dict[str, np.ndarray], vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Replace the words beyond the vocabulary by the unknown word."""
    clipped = {name: arrays[name] for name in ("source", "target")}
    return arrays | {name: np.where(x < len(vocabulary), x, vocabulary.unk_id) for name, x in clipped.items()}


def score(own: list[list[str]], test: list[reports.Report], vocabulary: Vocabulary) -> dict[str, float]:
    """Return the scores of summaries."""
    texts, true = [" ".join(summary) for summary in own], [" ".join(summary) for _, summary in test]
    scores = {f"rouge_{kind[5:].lower()}": rouge(texts, true, kind=kind) for kind in KINDS}
    return {"copied": reports.copied_share(own, test, vocabulary), **scores, "exact": exact_share(texts, true)}


def look(
    model: linen.Module, variables: PyTree, tested: dict[str, np.ndarray], test: list[reports.Report]
) -> list[tuple[np.ndarray, list[str], list[str]]]:
    """Return the weights of copying ``(1 - g) a`` in two test reports, with the words of both sides."""
    part = {name: array[:2] for name, array in tested.items()}

    @jax.jit
    def read(source: jax.Array, target: jax.Array, lengths: jax.Array) -> jax.Array:
        target_in = shift_right(target, SPECIAL_TOKENS.index(BOS))
        _, out = model.apply(variables, source, target_in, lengths, return_intermediates=True)
        return (1 - out["generating"][..., None]) * out["attention"]

    weights = np.asarray(read(part["source"], part["target"], part["source_length"]))
    return [
        (each[: len(summary) + 1, : len(document)], document, [*summary, "end"])
        for each, (document, summary) in zip(weights, test, strict=False)
    ]
