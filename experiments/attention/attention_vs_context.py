"""Attention against one fixed context vector of the source, as sentences grow longer.

    python -m experiments run attention_vs_context

An artificial language is translated word for word, with neighbours exchanged (``data.sources.translation.two_rules``).
A bidirectional GRU encodes; another decodes, with the context as its initial state (Sutskever et al., 2014), at every
step (Cho et al., 2014), or by attention (Bahdanau et al., 2015). The networks without attention have larger states and
at least as many parameters. All learn from sentences of 2 to 12 words, in the same batches, with several seeds, and are
tested greedily on sentences of six lengths that are not in the training set. Measured is the share of correct words,
the end included, and the BLEU of the longest sentences.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.attention import drawings
from experiments.harness.applications.translations import bleu, word_accuracy
from experiments.harness.claims import Statement, judge_all
from experiments.harness.members import train_configured
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.settings import OnExamples
from jaxdl import decode, tree
from jaxdl.data.sources import translation as languages
from jaxdl.models import EncoderDecoder, step_function
from jaxdl.nn.attention import scores as attention_scores
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.seq2seq import translation
from jaxdl.typing import Array, PyTree

CLAIMS = (23,)
WORDS, SHORTEST, MOST = 8, 2, 12
SMALL = {"cell": "vanilla", "hidden_size": 2}
LENGTHS = (2, 4, 6, 8, 10, 12)
NETWORKS = {"initial": 43, "every_step": 35, "attention": 32}
"""The contexts of the decoder and the sizes of the GRUs."""


@dataclass(frozen=True)
class Config(OnExamples):
    """Small encoder-decoders with different contexts of the decoder."""

    LEAST = {"seeds": 2}
    CHOICES = {"contexts": (NETWORKS, ("attention",))}
    SMOKE = {**OnExamples.SMOKE, "sentences": 16, "tested": 2, "contexts": ("initial", "attention"), **SMALL}

    seeds: int = 4
    sentences: int = 6400
    """Training sentences."""
    tested: int = 100
    """Test sentences of each length, at most a quarter of those that there are."""
    epochs: float = 7.0
    learning_rate: float = 0.01
    contexts: tuple[str, ...] = tuple(NETWORKS)
    """Contexts of the decoder; attention must be one of them."""
    cell: Literal["gru", "vanilla"] = "gru"
    """Recurrent cell."""
    hidden_size: int | None = None
    """Size of the states; by default that with equal numbers of parameters."""


def make(context: str, config: Config) -> EncoderDecoder:
    """Make the network with this context of the decoder."""
    hidden_size = NETWORKS[context] if config.hidden_size is None else config.hidden_size
    cell = {"gru": cells.GRU, "vanilla": cells.Vanilla}[config.cell](hidden_size)
    tokens, score = WORDS + languages.FIRST_WORD_ID, attention_scores.AdditiveScore(cell.hidden_size)
    return EncoderDecoder(tokens, tokens, cell, embedding_dim=16, context=context, score=score)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks, translate, judge, draw."""
    sentences, counts = config.sentences, {n: min(config.tested, WORDS**n // 4) for n in LENGTHS}
    tested = {
        n: languages.two_rules(config.seed + n, count, (n, n), num_words=WORDS, max_length=MOST)
        for n, count in counts.items()
    }
    drawn = languages.two_rules(config.seed, 2 * sentences, (SHORTEST, MOST), num_words=WORDS)
    learned = languages.leave_out(tested.values(), drawn, sentences)
    settings = replace(config, batch_size=min(config.batch_size, sentences))
    right, result, expected = {}, {}, languages.spell_sentences(tested[MOST]["target"])
    for context in config.contexts:
        model = make(context, config)
        members, _ = train_configured(translation(model, bos_id=languages.BOS_ID), learned, settings)
        variables = jax.jit(tree.stack)(members)
        generate = jax.jit(jax.vmap(partial(translate, model), (0, None, None)))
        outputs = {n: np.asarray(generate(variables, x["source"], x["source_length"])) for n, x in tested.items()}
        right[context] = np.stack([word_accuracy(outputs[n], tested[n]) for n in LENGTHS], axis=1)
        scores = [bleu(languages.spell_sentences(row), expected, tokenize="none") for row in outputs[MOST]]
        name = slug(context)
        result[f"parameters_{name}"] = tree.size(members[0]["params"])
        result |= {f"right_{n}_{name}": float(x) for n, x in zip(LENGTHS, right[context].mean(axis=0), strict=True)}
        result[f"bleu_{MOST}_{name}"] = float(np.mean(scores))
    judge_all(run, statements(right))
    run.figure("lengths", drawings.draw_lengths(LENGTHS, right, [(n / WORDS + 1) / (n + 1) for n in LENGTHS]))
    return result


def translate(model: EncoderDecoder, variables: PyTree, source: Array, lengths: Array) -> Array:
    """Translate greedily, ``[N, MOST + 1]``."""
    carry, first = model.apply(variables, source, lengths, method="init_carry"), jnp.full(len(source), languages.BOS_ID)
    step, symbols = step_function(model, variables), {"eos_id": languages.EOS_ID, "pad_id": languages.PAD_ID}
    return decode.greedy(step, carry, first, max_length=MOST + 1, **symbols).tokens


def statements(right: dict[str, np.ndarray]) -> Iterator[Statement]:
    """State the advantage of attention in every run, and its growth with the length."""
    for other in [context for context in right if context != "attention"]:
        ahead, words = right["attention"] - right[other], other.replace("_", " ")
        statement = f"attention is ahead of a context vector ({words}) on sentences of {MOST} words"
        yield Statement(23, statement, f"more right, of {right[other][:, -1].mean():.3g}", ahead[:, -1])
        statement = f"it is further ahead of it ({words}) at {MOST} words than at {LENGTHS[0]}"
        yield Statement(23, statement, f"more right, beyond {ahead[:, 0].mean():.3g}", ahead[:, -1] - ahead[:, 0])
