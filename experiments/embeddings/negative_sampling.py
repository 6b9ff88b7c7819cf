"""Negative sampling approaches the full softmax at a fraction of the cost.

    python -m experiments run negative_sampling [--text FILE_OR_FOLDER]

Skip-gram learns pairs of the thousand most frequent words with the full softmax and with negative samples: 1, 5 or 25
of the flattened unigram distribution q, and 5 of the words never seen with the word. All learn from the same number of
pairs. Scores s of negative sampling estimate ln p(c | w) - ln(k q(c)), so that softmax(s + ln q) is comparable. Those
against unseen words estimate no probability, as no word is on both sides: their cross-entropy is far above the figure.
Measured is the cross-entropy on held-out pairs, and the share of the full softmax' gain over word frequencies. The cost
of a pair is the number of context vectors that it touches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import judge
from experiments.harness.embeddings.words import (
    Loss,
    PairSettings,
    full_loss,
    gain_shares,
    learn_pairs,
    split_pairs,
    unigram_loss,
)
from experiments.harness.figures import COLOURS, plot_runs
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import embeddings
from jaxdl.embeddings import Tables
from jaxdl.typing import Array

CLAIMS = (26,)
JUDGED = 5


@dataclass(frozen=True)
class Config(PairSettings):
    """Skip-gram on pairs, with a full softmax and with negative samples."""

    SMOKE = {**PairSettings.SMOKE, "negatives": (JUDGED,)}

    negatives: tuple[int, ...] = (1, JUDGED, 25)
    """Numbers of negative samples."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with every loss, compare and judge."""
    corpus, learned, tested = split_pairs(config)
    noise = embeddings.noise_distribution(corpus.counts)
    seen = np.zeros((config.vocab_size,) * 2)
    np.add.at(seen, tuple(learned.T), 1)
    both = [jnp.tile(noise, (config.vocab_size, 1)), embeddings.unseen_distribution(corpus.counts, seen)]
    cumulative = jnp.cumsum(jnp.stack(both), axis=2)
    arguments = config.vocab_size, learned
    (full,) = learn_pairs(full_loss, jnp.zeros(1), *arguments, held_out(tested, jnp.ones_like(noise)), config)
    found = {"full softmax": full}
    for k in config.negatives:
        variants = cumulative[: 1 + (k == JUDGED)]
        curves = learn_pairs(negative_loss(k), variants, *arguments, held_out(tested, noise), config)
        found |= dict(zip((str(k), f"{k} unseen"), curves, strict=False))
    base = unigram_loss(corpus.counts, tested)
    gain = gain_shares(found, base)
    cost = {name: 1 + int(name.split()[0]) if name[0].isdigit() else config.vocab_size for name in found}
    cheaper = config.vocab_size / cost[str(JUDGED)]
    statement = f"{JUDGED} negative samples have most of the full softmax' gain at 1 / {cheaper:.0f} of the cost"
    run.claim(judge(26, statement, "share of the gain, beyond a half", gain[str(JUDGED)], above=0.5))
    if len(config.negatives) > 1:
        closer = gain[str(max(config.negatives))] - gain[str(min(config.negatives))]
        run.claim(judge(26, "more negative samples come closer", "share of the gain, most minus fewest", closer))
    run.figure("negative_sampling", draw(found, cost, base, config))
    shares = {name: share for name, share in gain.items() if np.isfinite(share).all()}
    return {"unigram_loss": base, **means(loss={k: v[:, -1] for k, v in found.items()}, gain=shares, cost=cost)}


def negative_loss(count: int) -> Loss:
    """Make the loss with samples of a distribution for every word; the variant is its cumulative sum, ``[V, V]``."""

    def loss(tables: Tables, pairs: Array, key: Array, cumulative: Array) -> Array:
        words, contexts = pairs.T
        drawn = jax.vmap(jnp.searchsorted)(cumulative[words], jax.random.uniform(key, (len(words), count)))
        negatives = tables.contexts[jnp.minimum(drawn, len(cumulative) - 1)]
        return jnp.mean(embeddings.negative_sampling_loss(tables.words[words], tables.contexts[contexts], negatives))

    return loss


def held_out(pairs: np.ndarray, noise: Array) -> Callable[[Tables, Array], Array]:
    """Make the cross-entropy of pairs by ``softmax(s + ln q)``."""

    def measure(tables: Tables, variant: Array) -> Array:
        log_p = jax.nn.log_softmax(tables.words @ tables.contexts.T + jnp.log(noise)[None])
        return -jnp.mean(log_p[pairs[:, 0], pairs[:, 1]])

    return measure


def draw(found: dict[str, np.ndarray], cost: dict[str, int], base: float, config: Config) -> Figure:
    """Draw the cross-entropy over the pairs and over their cost."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True)
    for (name, curves), colour in zip(found.items(), COLOURS, strict=False):
        pairs = np.linspace(0, config.steps, config.reports + 1) * config.batch_size
        plot_runs(axes[0], curves, colour, x=pairs, label=name)
        plot_runs(axes[1], curves[:, 1:], colour, x=pairs[1:] * cost[name], label=name)
    for axis, title in zip(axes, ("pairs", "vectors of contexts touched"), strict=True):
        axis.axhline(base, color="grey", linestyle=":", label="word frequencies")
        axis.set(xlabel=title, ylim=(None, base + 0.1))
    axes[0].set_ylabel("cross-entropy of held-out pairs")
    axes[1].set_xscale("log")
    axes[0].legend(frameon=False, title="negative samples")
    return figure
