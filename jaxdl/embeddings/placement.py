"""Pretrained vectors in the embedding of a model."""

import re
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from jaxdl import tree
from jaxdl.embeddings.word_vectors import Vectors
from jaxdl.typing import PyTree

EMBEDDING = r"embedding/embedding$"


def fill_embedding(
    variables: PyTree, vectors: Vectors, vocabulary: Mapping[str, int] | Sequence[str], path: str = EMBEDDING
) -> PyTree:
    """Replace the rows of a model's embedding by the vectors of known words; other rows keep their initialization.

    The table is trained on as any parameter, or frozen by ``optim.freeze(optimizer, "embedding/embedding$")``.

    Args:
        variables: the variables of the model, or its parameters.
        vectors: of the same size ``D`` as the embedding.
        vocabulary: the words in the order of their ids, as ``data.Vocabulary.tokens``, or a mapping to the ids.
        path: pattern of the path of the table ``[V, D]``, which must match one leaf.

    Returns:
        The variables with the new table.

    Raises:
        ValueError: the pattern does not match one leaf, the leaf is not ``[V, D]``, or no word is known.

    >>> variables = {"params": {"embedding": {"embedding": jnp.zeros((3, 2))}}}
    >>> vectors = Vectors(["cat", "dog"], np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> fill_embedding(variables, vectors, ["<unknown>", "dog", "cat"])["params"]["embedding"]["embedding"].tolist()
    [[0.0, 0.0], [3.0, 4.0], [1.0, 2.0]]
    """
    if not isinstance(vocabulary, Mapping):
        vocabulary = {word: row for row, word in enumerate(vocabulary)}
    leaves = tree.flatten(variables)
    found = [name for name in leaves if re.search(path, name)]
    if len(found) != 1:
        raise ValueError(f"expected one leaf that matches {path!r}, got {found or ', '.join(list(leaves)[:8])}")
    table = leaves[found[0]]
    shape = (len(vocabulary), vectors.vectors.shape[1])
    if table.shape != shape:
        raise ValueError(
            f"expected an embedding {shape} for {shape[0]} words and vectors of {shape[1]}, got {found[0]} of shape "
            f"{table.shape}"
        )
    known = [word for word in vocabulary if word in vectors]
    if not known:
        raise ValueError(f"expected vectors for words such as {list(vocabulary)[:3]}, got none; compare their case")
    rows = jnp.asarray([vocabulary[word] for word in known])
    values = jnp.asarray(np.stack([vectors[word] for word in known]), table.dtype)
    filled = jnp.asarray(table).at[rows].set(values)
    return tree.map_with_path(lambda name, leaf: filled if name == found[0] else leaf, variables)
