"""Captions as arrays, and captions by beam search."""

import numpy as np
from flax import linen

from experiments.harness.applications.scenes import Captioned
from experiments.harness.applications.transduction import make_search
from jaxdl import data
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.typing import PyTree

PIECE = 100
"""Pictures that are captioned at a time."""


def encode_captions(part: Captioned, vocabulary: Vocabulary, count: int) -> dict[str, np.ndarray]:
    """Encode captioned pictures as the arrays of the task; captions are cut to ``count`` tokens, the end included."""
    tokens = [vocabulary.encode(caption[: count - 1], add_eos=True) for caption in part.captions]
    target, lengths = data.pad(tokens, count)
    return {"source": part.images, "target": target, "target_length": lengths}


def beam_captions(
    model: linen.Module, variables: PyTree, images: np.ndarray, vocabulary: Vocabulary, *, beams: int, length: int
) -> list[str]:
    """Caption pictures by beam search."""
    best = make_search(model, vocabulary, beams, length)
    pieces = np.array_split(images, -(-len(images) // PIECE))
    tokens = [row for piece in pieces for row in np.asarray(best(variables, piece))]
    return [" ".join(vocabulary.decode(row, skip_special_tokens=True)) for row in tokens]


def pad_grid(place: np.ndarray, positions: int) -> np.ndarray:
    """Mark the positions of a square grid that see any pixel of an object ``[H, W]``, ``[positions]`` Booleans."""
    side = round(positions**0.5)
    size = place.shape[0] // side
    return place.reshape(side, size, side, size).any(axis=(1, 3)).ravel()
