"""A hierarchical softmax does well even with the words in random order on the leaves of its tree.

    python -m experiments run hierarchical_softmax [--text FILE_OR_FOLDER]

Skip-gram learns pairs of the thousand most frequent words with the full softmax, and with hierarchical ones: Huffman's
tree, a balanced tree of the words in alphabetical order, and balanced trees of random order. All learn from the same
number of pairs. Measured is the cross-entropy on held-out pairs, and the share of the full softmax' gain over word
frequencies. The cost of a pair is the number of nodes on the way to its context.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import judge
from experiments.harness.embeddings.words import (
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
from jaxdl.embeddings import CodeTree, Tables
from jaxdl.typing import Array, PyTree

CLAIMS = (37,)


@dataclass(frozen=True)
class Config(PairSettings):
    """Skip-gram on pairs, with full and hierarchical softmax."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with every tree, compare and judge."""
    corpus, learned, tested = split_pairs(config)
    base = unigram_loss(corpus.counts, tested)
    balanced = embeddings.random_tree(config.vocab_size, config.seed)
    trees = {"Huffman": embeddings.huffman_tree(corpus.counts), "random": balanced}
    trees["alphabetical"] = alphabetical(list(corpus.vocabulary))
    (full,) = learn_pairs(full_loss, jnp.zeros(1), config.vocab_size, learned, held_out(full_loss, tested), config)
    stacked = stack(list(trees.values()))
    curves = learn_pairs(tree_loss, stacked, config.vocab_size - 1, learned, held_out(tree_loss, tested), config)
    found = {"full softmax": full, **dict(zip(trees, curves, strict=True))}
    gain = gain_shares(found, base)
    share = np.bincount(tested[:, 1], minlength=config.vocab_size) / len(tested)
    cost = {"full softmax": float(config.vocab_size)}
    cost |= {name: float(share @ tree.mask.sum(axis=1)) for name, tree in trees.items()}
    statement = "a random tree has most of the gain of the full softmax"
    run.claim(judge(37, statement, "share of the gain, beyond a half", gain["random"], above=0.5))
    measure, less = "share of the gain, random minus Huffman, beyond -0.2", gain["random"] - gain["Huffman"]
    run.claim(judge(37, "a random tree does almost as well as Huffman's", measure, less, above=-0.2))
    run.figure("trees", draw(found, cost, base, config))
    shares = {name: share for name, share in gain.items() if np.isfinite(share).all()}
    return {"unigram_loss": base, **means(loss={k: v[:, -1] for k, v in found.items()}, gain=shares, cost=cost)}


def alphabetical(words: list[str]) -> CodeTree:
    """Arrange words in alphabetical order on the leaves of a balanced tree, from left to right."""
    tree = embeddings.random_tree(len(words))
    leaves = sorted(range(len(words)), key=lambda word: tuple(tree.codes[word]))
    order = np.empty(len(words), int)
    order[np.argsort(words)] = leaves
    return CodeTree(*(array[order] for array in tree))


def stack(trees: list[CodeTree]) -> CodeTree:
    """Stack trees, padded to the longest way."""
    longest = max(tree.mask.shape[1] for tree in trees)
    padded = [[np.pad(array, ((0, 0), (0, longest - array.shape[1]))) for array in tree] for tree in trees]
    return CodeTree(*(np.stack(arrays) for arrays in zip(*padded, strict=True)))


def tree_loss(tables: Tables, pairs: Array, key: Array | None, tree: CodeTree) -> Array:
    """Compute the mean loss of a hierarchical softmax."""
    words, contexts = pairs.T
    nodes, codes, mask = (array[contexts] for array in tree)
    return -jnp.mean(embeddings.hierarchical_log_probability(tables.words[words], tables.contexts[nodes], codes, mask))


def held_out(loss: Callable[..., Array], pairs: np.ndarray) -> Callable[[Tables, PyTree], Array]:
    """Make the loss on held-out pairs, whose probabilities are normalized for every tree."""
    return lambda tables, variant: loss(tables, jnp.asarray(pairs), None, variant)


def draw(found: dict[str, np.ndarray], cost: dict[str, float], base: float, config: Config) -> Figure:
    """Draw the cross-entropy over the pairs."""
    figure, axis = plt.subplots(figsize=(6, 3.8))
    pairs = np.linspace(0, config.steps, config.reports + 1) * config.batch_size
    for (name, curves), colour in zip(found.items(), COLOURS, strict=False):
        plot_runs(axis, curves, colour, x=pairs, label=f"{name}, {cost[name]:.1f} vectors")
    axis.axhline(base, color="grey", linestyle=":", label="word frequencies")
    axis.set(xlabel="pairs", ylabel="cross-entropy of held-out pairs", ylim=(None, base + 0.3))
    axis.legend(frameon=False)
    return figure
