"""Word vectors.

Counts
    `build_vocabulary`, `token_counts`, `cooccurrence`: words, their occurrences and those of their contexts.
    `pmi`, `pmi0`, `ppmi`: pointwise mutual information.
    `discard_probability`, `word2vec_discard_probability`: subsampling of frequent words.
Vectors
    `one_hot`, `lookup`: one-hot vectors and rows of a table.
    `cosine_similarity`, `euclidean_distance`: comparison of vectors.
"""

from jaxdl.embeddings.counts import (
    build_vocabulary,
    cooccurrence,
    discard_probability,
    pmi,
    pmi0,
    ppmi,
    token_counts,
    word2vec_discard_probability,
)
from jaxdl.embeddings.vectors import cosine_similarity, euclidean_distance, lookup, one_hot

__all__ = [
    "build_vocabulary",
    "cooccurrence",
    "cosine_similarity",
    "discard_probability",
    "euclidean_distance",
    "lookup",
    "one_hot",
    "pmi",
    "pmi0",
    "ppmi",
    "token_counts",
    "word2vec_discard_probability",
]
