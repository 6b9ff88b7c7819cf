"""Dates in many forms become YYYY-MM-DD: an encoder-decoder of characters with attention.

    python -m experiments run date_translation

"tuesday the 3rd of march 2009", "mar. 3, 2009", "03/03/09" and nine more forms become 2009-03-03: day, month and year
have to be located wherever they are, months recognized by name, and the century of two digits inferred by the rule of
the data (1950 to 2049). Training and test have different days. A bidirectional GRU encodes, another GRU decodes with
additive attention (Bahdanau et al., 2015). Greedy decoding is compared with beam search.
"""

from dataclasses import dataclass, field
from typing import Literal

import jax
import numpy as np

from experiments.harness import configuration, figures
from experiments.harness.applications.translations import chrf, exact_share, translate
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import draw_alignments
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_task
from jaxdl import data, train
from jaxdl.data.sources import translation as languages
from jaxdl.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from jaxdl.models import EncoderDecoder
from jaxdl.nn.attention import scores as attention_scores
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.seq2seq import shift_right, translation
from jaxdl.typing import PyTree

GOAL = {"exact_match": 0.98}
CELLS = {"gru": cells.GRU, "vanilla": cells.Vanilla}
SHOWN = 4  # dates in the figure of attention


@dataclass(frozen=True)
class Config(configuration.Config):
    """A small encoder-decoder with attention, trained with Adam."""

    SMOKE = {"dates": 64, "tested": 4, "cell": "vanilla", "hidden_size": 4, "beams": 2, "batch_size": 32, "epochs": 1.0}
    FORMER = {"features": "hidden_size", "embedding": "embedding_dim"}
    POSITIVE = ("epochs",)

    dates: int = 8000
    """Training pairs."""
    tested: int = 1000
    """Test pairs, of other days."""
    cell: Literal["gru", "vanilla"] = "gru"
    """Recurrent cell."""
    hidden_size: int = 48
    """Size of the states and of the hidden layer of attention."""
    embedding_dim: int = 16
    """Size of the embeddings."""
    beams: int = 5
    """Hypotheses of beam search."""
    batch_size: int = 64
    """Pairs in an update."""
    epochs: float = 12.0
    """Passes over the pairs."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer("adam", learning_rate=8e-3, clip_norm=1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.require(self.dates + self.tested <= 36_525, "dates", "<= 36525 with --tested", self.dates)


def encode(pairs: list[tuple[str, str]], source: Vocabulary, target: Vocabulary, longest: int) -> dict[str, np.ndarray]:
    """Encode pairs as the arrays of the task."""
    tokens, length = data.pad([source.encode(text) for text, _ in pairs], longest)
    answers, answer_length = data.pad([target.encode(day, add_eos=True) for _, day in pairs])
    return {"source": tokens, "source_length": length, "target": answers, "target_length": answer_length}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, translate greedily and by beam search, and draw the attention weights."""
    count = config.dates
    pairs = languages.dates(config.seed, count + config.tested)
    source = Vocabulary.build("".join(text for text, _ in pairs[:count]), special_tokens=(PAD, UNK))
    target = Vocabulary.build("".join(day for _, day in pairs[:count]), special_tokens=(PAD, BOS, EOS))
    longest = max(len(text) for text, _ in pairs)
    learned, test = (encode(part, source, target, longest) for part in (pairs[:count], pairs[count:]))
    cell, score = CELLS[config.cell](config.hidden_size), attention_scores.AdditiveScore(config.hidden_size)
    model = EncoderDecoder(len(source), len(target), cell, embedding_dim=config.embedding_dim, score=score)
    loader = data.Loader(learned, min(config.batch_size, count), seed=config.seed)
    optimizer = config.optimizer.make(train.count_steps(config.epochs, loader.steps_per_epoch))
    task = translation(model, bos_id=target.bos_id)
    state, result = train_task(run, task, loader, optimizer, test, epochs=config.epochs)
    outputs = translate(model, state.variables, test, target, beams=config.beams)
    days = [day for _, day in pairs[count:]]
    for method, answers in outputs.items():
        result |= {f"{method}_exact": exact_share(answers["text"], days)}
        result |= {f"{method}_log_probability": float(np.mean(answers["log_probability"]))}
    result["greedy_chrf"] = chrf(outputs["greedy"]["text"], days)
    for (text, day), answer in list(zip(pairs[count:], outputs["greedy"]["text"], strict=True))[:8]:
        run.console.print(f"{text:>36}  {answer}  {'' if answer == day else 'expected ' + day}", highlight=False)
    run.figure("attention", draw_alignments(align(model, state.variables, test, source, target)))
    run.figure("curves", figures.curves(train.MetricsFile.read(run.directory / "metrics.jsonl"), ("loss", "accuracy")))
    return result


def align(
    model: EncoderDecoder, variables: PyTree, test: dict[str, np.ndarray], source: Vocabulary, target: Vocabulary
) -> list[tuple[np.ndarray, list[str], list[str]]]:
    """Return the attention weights of a few dates, from long to short, with the characters of source and target."""
    chosen = np.argsort(-test["source_length"], kind="stable")[:: max(1, len(test["source"]) // SHOWN)][:SHOWN]
    tokens, lengths, answers = (test[name][chosen] for name in ("source", "source_length", "target"))
    look = jax.jit(lambda *x: model.apply(variables, *x, return_intermediates=True)[1]["attention"])
    weights = np.asarray(look(tokens, shift_right(answers, target.bos_id), lengths))
    return [
        (each[:, :length], source.decode(row[:length]), ["end" if t == EOS else t for t in target.decode(answer)])
        for each, row, length, answer in zip(weights, tokens, lengths, answers, strict=True)
    ]
