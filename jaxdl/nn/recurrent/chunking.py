"""Sequences in chunks of equal length."""

import jax.numpy as jnp

from jaxdl.checks import check_positive_integer
from jaxdl.nn.recurrent._loops import split_axis
from jaxdl.typing import Batch


def split_time(batch: Batch, length: int) -> Batch:
    """Split a batch of sequences into chunks, for training that carries the state from one chunk to the next.

    Args:
        batch: arrays ``[B, T, ...]``; ``"mask"`` is ``[B, T]``, all ones if absent.
        length: steps of a chunk.

    Returns:
        Arrays ``[N, B, length, ...]`` with ``N = ceil(T / length)``; the last chunk is padded, with 0 in its mask.

    Raises:
        ValueError: the length is not positive.

    >>> split_time({"token": jnp.array([[1, 2, 3]])}, 2)["token"].tolist()
    [[[1, 2]], [[3, 0]]]
    """
    check_positive_integer("length", length)
    batch = {"mask": jnp.ones(next(iter(batch.values())).shape[:2]), **batch}
    return {name: jnp.moveaxis(split_axis(leaf, length, axis=1), 1, 0) for name, leaf in batch.items()}
