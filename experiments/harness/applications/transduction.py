"""One sequence into another: training, beam search and scores that pronunciation, names and translations share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness import figures
from experiments.harness.configuration import Config
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import draw_alignments
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_on_arrays
from jaxdl import data, decode, tasks, train
from jaxdl.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from jaxdl.models import EncoderDecoder, LuongEncoderDecoder, Transformer, TransformerCaptioner, step_function
from jaxdl.nn.attention.scores import AdditiveScore
from jaxdl.nn.recurrent.cells import GRU, LSTM
from jaxdl.tasks.seq2seq import shift_right, translation
from jaxdl.typing import PyTree

Pair = tuple[Sequence[str], Sequence[str]]
"""The tokens of a source and of its target."""
PIECE = 500
"""Sources that are decoded at a time."""


@dataclass(frozen=True)
class SequenceGeneration(Config):
    """A network that generates sequences, by beam search."""

    SMOKE = {"hidden_size": 4, "beams": 2, "epochs": 1.0}
    POSITIVE = ("epochs",)

    hidden_size: int = 64
    """Size of the states."""
    beams: int = 4
    """Hypotheses of beam search."""
    batch_size: int = 32
    """Examples in an update."""
    epochs: float = 12.0
    """Passes over the examples."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", 4e-3, warmup=0.1, clip_norm=1.0))


@dataclass(frozen=True)
class Transduction(SequenceGeneration):
    """An encoder-decoder on pairs of sequences."""

    SMOKE = {**SequenceGeneration.SMOKE, "pairs": 32, "tested": 4, "embedding_dim": 4, "batch_size": 16}

    pairs: int = 6000
    """Largest number of pairs of the training."""
    tested: int = 500
    """Largest number of pairs of the test, of other sources."""
    model: Literal["luong", "bahdanau", "transformer"] = "luong"
    """LSTMs with Luong's attention, GRUs with Bahdanau's, or a transformer of two blocks each."""
    hidden_size: int = 64
    """Size of the states; the width of the transformer, a multiple of 4."""
    embedding_dim: int = 32
    """Size of the embeddings of the recurrent networks."""
    batch_size: int = 64
    """Pairs in an update."""


def split_pairs(pairs: Sequence[Pair], config: Transduction) -> tuple[list[Pair], list[Pair]]:
    """Split pairs at random into training and test, so that no source is in both; only its first target is tested."""
    sources = sorted({tuple(source) for source, _ in pairs})
    order = data.permutation(len(sources), config.seed, 0)
    held = [sources[n] for n in order[: max(1, min(config.tested, len(sources) // 5))]]
    first = {tuple(source): target for source, target in reversed(pairs)}
    test = {source: first[source] for source in held}
    learned = [pair for pair in pairs if tuple(pair[0]) not in test]
    chosen = data.permutation(len(learned), config.seed, 1)[: config.pairs]
    return [learned[n] for n in chosen], list(test.items())


def transduce(
    config: Transduction, run: Run, learned: Sequence[Pair], test: Sequence[Pair], *, join: str = ""
) -> tuple[dict[str, float], list[list[str]]]:
    """Train, translate the test by beam search, print examples and draw what was attended to.

    Returns:
        ``token_error`` (the edit distance by the length of the targets), ``sequence_error`` (the share of targets that
        are not exactly right) and the results of the training; and the tokens that were generated for every test.
    """
    special = (PAD, UNK, BOS, EOS)
    source, target = (
        Vocabulary.build((token for pair in learned for token in pair[side]), special_tokens=special) for side in (0, 1)
    )
    longest = [max(len(pair[side]) for pair in (*learned, *test)) for side in (0, 1)]
    arrays, tested = (encode(part, source, target, longest) for part in (learned, test))
    model = make_model(config, len(source), len(target))
    task = translation(model, bos_id=target.bos_id, label_smoothing=0.1 if config.model == "transformer" else 0.0)
    variables, result = learn(config, run, task, arrays, tested)
    outputs = search(model, variables, tested, target, config.beams)
    expected = [list(pair[1]) for pair in test]
    errors = [edit_distance(own, true) for own, true in zip(outputs, expected, strict=True)]
    result["token_error"] = sum(errors) / sum(map(len, expected))
    result["sequence_error"] = float(np.mean([error > 0 for error in errors]))
    for (given, true), own in list(zip(test, outputs, strict=True))[:10]:
        mark = "" if own == list(true) else f"   expected {join.join(true)}"
        run.console.print(f"{join.join(given)[:60]:>30}  {join.join(own)}{mark}", highlight=False, markup=False)
    rows = train.MetricsFile.read(run.directory / "metrics.jsonl")
    run.figure("curves", figures.curves(rows, ("loss", "exact_match")))
    if config.model != "transformer":
        run.figure("attention", draw_alignments(align(model, variables, tested, source, target)))
    return result, outputs


def learn(
    config: SequenceGeneration,
    run: Run,
    task: tasks.Task,
    arrays: dict[str, np.ndarray],
    tested: dict[str, np.ndarray],
    *,
    keep: bool = True,
) -> tuple[PyTree, dict[str, float]]:
    """Train with the settings by `train_on_arrays`; return the variables and the results."""
    options = {"epochs": config.epochs, "batch_size": config.batch_size, "keep": keep}
    return train_on_arrays(run, task, arrays, tested, config.optimizer.make, **options)


def make_model(config: Transduction, sources: int, targets: int) -> linen.Module:
    """Make the network of the settings."""
    size = config.hidden_size
    if config.model == "transformer":
        return Transformer(sources, targets, size, num_layers=2, num_heads=4, mlp_dim=4 * size, norm_first=True)
    if config.model == "luong":
        fields = {"embedding_dim": config.embedding_dim, "bidirectional": True, "dropout_rate": 0.1}
        return LuongEncoderDecoder(sources, targets, LSTM(size), **fields)
    return EncoderDecoder(
        sources, targets, GRU(size), embedding_dim=config.embedding_dim, score=AdditiveScore(size), dropout_rate=0.1
    )


def encode(
    pairs: Sequence[Pair], source: Vocabulary, target: Vocabulary, longest: Sequence[int]
) -> dict[str, np.ndarray]:
    """Encode pairs as the arrays of the task."""
    tokens, lengths = data.pad([source.encode(given) for given, _ in pairs], longest[0])
    answers, answer_lengths = data.pad([target.encode(true, add_eos=True) for _, true in pairs], longest[1] + 1)
    return {"source": tokens, "source_length": lengths, "target": answers, "target_length": answer_lengths}


def search(
    model: linen.Module, variables: PyTree, test: dict[str, np.ndarray], target: Vocabulary, beams: int
) -> list[list[str]]:
    """Generate the targets of a test by beam search."""
    rows = search_tokens(model, variables, test, target, beams)
    return [target.decode(row, skip_special_tokens=True) for row in rows]


def search_tokens(
    model: linen.Module, variables: PyTree, test: dict[str, np.ndarray], target: Vocabulary, beams: int
) -> list[np.ndarray]:
    """Generate the targets of a test by beam search, as tokens padded after the end."""
    best = make_search(model, target, beams, test["target"].shape[1] + 4)
    pieces = np.array_split(np.arange(len(test["source"])), -(-len(test["source"]) // PIECE))
    sources = [(test["source"][piece], test["source_length"][piece]) for piece in pieces]
    return [row for part in sources for row in np.asarray(best(variables, *part))]


def make_search(model: linen.Module, target: Vocabulary, beams: int, length: int) -> Callable[..., jax.Array]:
    """Make the compiled function from variables, sources and perhaps their lengths to tokens ``[B, length]``."""

    @jax.jit
    def best(variables: PyTree, source: jax.Array, *lengths: jax.Array) -> jax.Array:
        options = {"max_length": length} if isinstance(model, Transformer | TransformerCaptioner) else {}
        carry = model.apply(variables, source, *lengths, **options, method="init_carry")
        step, first = step_function(model, variables), jnp.full(len(source), target.bos_id)
        ends = {"eos_id": target.eos_id, "pad_id": target.pad_id}
        return decode.beam_search(step, carry, first, num_beams=beams, max_length=length, **ends).tokens[:, 0]

    return best


def align(
    model: linen.Module, variables: PyTree, test: dict[str, np.ndarray], source: Vocabulary, target: Vocabulary
) -> list[tuple[np.ndarray, list[str], list[str]]]:
    """Return the attention weights of four test pairs of different lengths, with the tokens of both sides."""
    order = np.argsort(-test["source_length"], kind="stable")
    chosen = order[:: max(1, len(order) // 4)][:4]
    tokens, lengths, answers = (test[name][chosen] for name in ("source", "source_length", "target"))
    weights = attention_weights(model, variables, target.bos_id, answers, tokens, lengths)
    shown = []
    for each, row, length, answer, count in zip(
        weights, tokens, lengths, answers, test["target_length"][chosen], strict=True
    ):
        rows = ["end" if token == EOS else token for token in target.decode(answer[:count])]
        shown.append((each[:count, :length], source.decode(row[:length]), rows))
    return shown


def attention_weights(
    model: linen.Module, variables: PyTree, bos_id: int, target: np.ndarray, source: np.ndarray, *lengths: np.ndarray
) -> np.ndarray:
    """Return the attention ``[N, T, S]`` of true targets ``[N, T]`` to sources, perhaps with their lengths."""
    read = jax.jit(lambda x, y, *n: model.apply(variables, x, y, *n, return_intermediates=True)[1]["attention"])
    return np.asarray(read(source, shift_right(target, bos_id), *lengths))


def edit_distance(own: Sequence[str], true: Sequence[str]) -> int:
    """Count the fewest insertions, deletions and substitutions of tokens between two sequences (Levenshtein, 1966).

    >>> edit_distance("kitten", "sitting")
    3
    """
    row = list(range(len(true) + 1))
    for i, token in enumerate(own, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(true, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (token != other))
    return row[-1]
