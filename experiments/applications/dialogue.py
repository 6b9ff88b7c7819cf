"""Dialogues about the booking of a table: answers that need all turns before, and a chat with the trained network.

    python -m experiments run dialogue [--model hierarchical] [--table FILE]
    python -m experiments chat RUN

A user gives people, food, part of the town, day and time, one to three at a time, and changes some of them; the
assistant asks for what is missing, or repeats all five values. Dialogues of the test are new. The last turns are one
text with separators for a pointer-generator, which can copy words into its answer, or for LSTMs with Luong's attention;
or sentences of a hierarchical encoder (Serban et al., 2016), whose answer attends to the turns. For comparison the same
network reads the last turn alone. A table is a TSV file: a dialogue a line, a turn in each column, the user first.

Goals, set before the run: 95 % of the repeated values, and 95 % of the answers exact.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from flax import linen

from experiments.applications import drawings
from experiments.harness.applications import bookings
from experiments.harness.applications.transduction import SequenceGeneration, align, learn, make_search, search
from experiments.harness.applications.translations import bleu, exact_share
from experiments.harness.run_folder import Run
from jaxdl import data
from jaxdl.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from jaxdl.models import HierarchicalEncoderDecoder, LuongEncoderDecoder, PointerGenerator
from jaxdl.nn.recurrent.cells import GRU, LSTM
from jaxdl.tasks.seq2seq import translation
from jaxdl.typing import PyTree

GOAL = {"slot_accuracy": 0.95, "exact": 0.95}
FILE = "vocabulary.json"
SENTENCE = 16
"""Words of a turn that the hierarchical encoder reads."""
LONGEST = 40
"""Words of an answer in a chat."""


@dataclass(frozen=True)
class Config(SequenceGeneration):
    """A network over dialogues."""

    SMOKE = {
        **SequenceGeneration.SMOKE,
        "dialogues": 12,
        "turns": 3,
        "longest": 12,
        "embedding_dim": 4,
        "last_turn": False,
    }

    table: Path | None = None
    """TSV file of dialogues; None for generated ones."""
    model: Literal["pointer", "luong", "hierarchical"] = "pointer"
    """LSTMs over all turns as one text that copy words, or do not; or a hierarchical encoder."""
    last_turn: bool = True
    """Train on the last turn alone, too."""
    dialogues: int = 2200
    """Largest number of dialogues, a tenth of them for the test."""
    turns: int = 12
    """Turns before an answer that are read."""
    longest: int = 100
    """Words of these turns that are read."""
    embedding_dim: int = 32
    """Size of the embeddings."""
    beams: int = 2
    epochs: float = 8.0


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, answer the turns of the test, print a dialogue, draw where an answer looked."""
    found = bookings.draw_dialogues(config.seed, config.dialogues)
    if config.table is not None:
        found = bookings.read_dialogues(config.table)[: config.dialogues]
    order = data.permutation(len(found), config.seed, 0)
    held = max(1, len(found) // 10)
    parts = [[found[n] for n in rows] for rows in (order[held:], order[:held])]
    learned, tested = (bookings.exchanges(part, config.turns) for part in parts)
    words = [word for dialogue in parts[0] for turn in dialogue for word in turn]
    vocabulary = Vocabulary.build(words, special_tokens=(PAD, UNK, BOS, EOS, bookings.SEPARATOR), max_size=8000)
    run.describe = lambda directory: vocabulary.save(directory / FILE)
    count = max(len(answer) for _, answer in (*learned, *tested)) + 1
    answers, true = [answer for _, answer in tested], [" ".join(answer) for _, answer in tested]
    result, scores, own = {}, {}, []
    model, variables, test = make_model(config, len(vocabulary)), {}, {}
    task = translation(model, bos_id=vocabulary.bos_id)
    for name, turns in (("last_turn_", 1), ("", config.turns))[not config.last_turn :]:
        arrays, test = (encode(config, part, vocabulary, turns, count) for part in (learned, tested))
        variables, measured = learn(config, run, task, arrays, test, keep=not name)
        own = search(model, variables, test, vocabulary, config.beams)
        texts = [" ".join(answer) for answer in own]
        shares = bookings.slot_shares(own, answers) if config.table is None else {}
        scores[name or "all turns"] = {
            "exact": exact_share(texts, true),
            "bleu": bleu(texts, true, tokenize="none"),
            **shares,
        }
        result |= {f"{name}{key}": value for key, value in (measured | scores[name or "all turns"]).items()}
    show(run, tested, own, parts[1][0])
    if config.model != "hierarchical":
        longest = int(np.argmax(test["source_length"]))
        shown = {name: array[longest : longest + 1] for name, array in test.items()}
        run.figure("attention", drawings.draw_long_alignments(align(model, variables, shown, vocabulary, vocabulary)))
    names = [name for name in scores["all turns"] if name != "bleu"]
    figure = {name: {model: each[name] for model, each in scores.items()} for name in names}
    run.figure("scores", drawings.draw_scores(figure, "share of the test"))
    return {**result, "answers": len(learned)}


def make_model(config: Config, vocab_size: int) -> linen.Module:
    """Make the network of the settings."""
    size, fields = config.hidden_size, {"embedding_dim": config.embedding_dim, "dropout_rate": 0.1}
    if config.model == "hierarchical":
        return HierarchicalEncoderDecoder(vocab_size, vocab_size, GRU(size), **fields)
    if config.model == "luong":
        return LuongEncoderDecoder(vocab_size, vocab_size, LSTM(size), bidirectional=True, **fields)
    return PointerGenerator(vocab_size, cell=LSTM(size), **fields)


def encode(
    config: Config, part: list[tuple[bookings.Dialogue, list[str]]], vocabulary: Vocabulary, turns: int, count: int
) -> dict[str, np.ndarray]:
    """Return the arrays of the task, with the last ``turns`` turns as the source."""
    target, target_length = data.pad([vocabulary.encode(answer, add_eos=True) for _, answer in part], count)
    source, length = read_source(config, [context[-turns:] for context, _ in part], vocabulary)
    return {"source": source, "source_length": length, "target": target, "target_length": target_length}


def read_source(
    config: Config, contexts: list[bookings.Dialogue], vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """Encode contexts as the network reads them."""
    if config.model == "hierarchical":
        return bookings.encode_turns(contexts, vocabulary, config.turns, SENTENCE)
    return bookings.encode_texts(contexts, vocabulary, config.longest)


def show(
    run: Run,
    tested: list[tuple[bookings.Dialogue, list[str]]],
    own: list[list[str]],
    dialogue: bookings.Dialogue,
) -> None:
    """Print the first dialogue of the test with one's own answers."""
    for number, turn in enumerate(dialogue):
        if number % 2 == 0:
            run.console.print(f"user       {' '.join(turn)}", highlight=False, markup=False)
            continue
        reply = own[number // 2]
        mark = "" if reply == tested[number // 2][1] else f"   expected {' '.join(turn)}"
        run.console.print(f"assistant  {' '.join(reply)}{mark}", highlight=False, markup=False)


def make_chat(config: Config, directory: Path, variables: PyTree) -> Callable[[bookings.Dialogue], list[str]]:
    """Return the function from the turns so far to the answer, of the network of a run folder."""
    vocabulary = Vocabulary.load(directory / FILE)
    best = make_search(make_model(config, len(vocabulary)), vocabulary, config.beams, LONGEST)

    def reply(turns: bookings.Dialogue) -> list[str]:
        source, length = read_source(config, [turns[-config.turns :]], vocabulary)
        return vocabulary.decode(np.asarray(best(variables, source, length))[0], skip_special_tokens=True)

    return reply
