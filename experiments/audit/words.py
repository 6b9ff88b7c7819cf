"""Words: the corpus of four titles, and the subsampling of frequent words."""

import jax.numpy as jnp
import numpy as np

from experiments.audit import files
from experiments.audit.files import cite
from jaxdl import embeddings

CORPUS = [
    ["human", "machine", "interface", "for", "computer", "applications"],
    ["user", "opinion", "of", "computer", "system", "response", "time"],
    ["user", "interface", "management", "system"],
    ["system", "engineering", "for", "improved", "response", "time"],
]
SHOWN = ["human", "machine", "system", "for", "user"]
PAIRS = [("human", "machine"), ("machine", "for"), ("system", "for"), ("system", "user")]


def one_hot_pair() -> list[jnp.ndarray]:
    """Return the distance and the cosine of two one-hot words."""
    words = embeddings.build_vocabulary(CORPUS)
    human, machine = embeddings.one_hot(jnp.array([words["human"], words["machine"]]), len(words))
    return [embeddings.euclidean_distance(human, machine), embeddings.cosine_similarity(human, machine)]


def cooccurrence(window: int) -> list[int]:
    """Return the counts of the ten pairs of the table's five words."""
    words = embeddings.build_vocabulary(CORPUS)
    counts = embeddings.cooccurrence(CORPUS, words, window=window)
    shown = [words[word] for word in SHOWN]
    return [counts[shown[i], shown[j]] for i in range(5) for j in range(i + 1, 5)]


def mutual_information() -> list[jnp.ndarray]:
    """Return the four entries of the table, with the window of its counts."""
    words = embeddings.build_vocabulary(CORPUS)
    counts = embeddings.cooccurrence(CORPUS, words, window=4)
    totals = embeddings.token_counts(CORPUS, words)
    values = embeddings.pmi(counts, word_counts=totals, context_counts=totals, total=np.sum(totals))
    return [values[words[word], words[context]] for word, context in PAIRS]


WINDOW = r"With  $k = 2$ , the co-occurrence matrix for the above corpus would be"
ITEMS = [
    cite(
        "words in the vocabulary",
        printed="16",
        right="15",
        compute=lambda: len(embeddings.build_vocabulary(CORPUS)),
        phrase=r"V = [\text{human, machine, interface, for, computer,",
        file=files.COURSE,
        reason="'interface' is listed twice",
    ),
    cite(
        "distance and cosine of two one-hot words",
        printed="1.4142 0.0000",
        right="1.41421356 0.0000",
        compute=one_hot_pair,
        phrase=r"is  $\sqrt{2}$  and the cosine similarity between any two words is 0.",
        file=files.COURSE,
    ),
    cite(
        "co-occurrence within 2 words: pairs of human, machine, system, for, user",
        printed="1 0 1 0 0 1 0 1 2 0",
        right="1 0 0 0 0 1 0 1 0 0",
        compute=lambda: cooccurrence(2),
        phrase=WINDOW,
        file=files.COURSE,
        reason="human-for are 3 words apart, system-user 3 and 4: both are 0",
    ),
    cite(
        "the same within 4 words, which the table counts",
        printed="1 0 1 0 0 1 0 1 2 0",
        right="1 0 1 0 0 1 0 1 2 0",
        compute=lambda: cooccurrence(4),
        phrase=WINDOW,
        file=files.COURSE,
    ),
    cite(
        "PMI of human-machine, machine-for, system-for, system-user",
        printed="2.944 2.25 1.15 1.84",
        right="3.1355 2.4423 1.3437 2.0369",
        compute=mutual_information,
        phrase="human	0	2.944	0	2.25",
        file=files.COURSE,
        reason="printed as for a corpus of 19 tokens; this one has 23",
    ),
    cite(
        "probability of leaving out a word seen 700 times in a million, t = 1e-4",
        printed="0.622",
        right="0.62204",
        compute=lambda: embeddings.discard_probability(700 / 1e6, 1e-4),
        phrase=r"= 0.622",
        file=files.NEURONS,
    ),
]
