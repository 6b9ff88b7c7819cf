"""Word vectors: one-hot, and those that are made of counts."""

from jaxdl.embeddings.counts import (
    cooccurrence,
    cosine_similarity,
    discard_probability,
    euclidean_distance,
    lookup,
    one_hot,
    pmi,
    pmi0,
    ppmi,
    token_counts,
    vocabulary,
)

__all__ = [
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
    "vocabulary",
]
