"""Videos of a moving handwritten digit."""

from typing import NamedTuple

import jax
import numpy as np
from flax import linen

from experiments.harness.applications.digit_scenes import DIGITS
from jaxdl.nn.convolution import Conv, max_pool
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array

MOVES = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
"""Changes of row and column in a frame."""
DIRECTIONS = tuple(MOVES)
SIDE, OBJECT = 20, 8
"""Height and width of a frame, and of a digit in it."""


class Videos(NamedTuple):
    """Videos of one digit each.

    Attributes:
        video: ``[N, T, SIDE, SIDE, 1]``, bytes.
        digit: values, ``[N]``.
        moves: indices of `DIRECTIONS`, one after the other, ``[N, moves]``.
    """

    video: np.ndarray
    digit: np.ndarray
    moves: np.ndarray

    @property
    def captions(self) -> list[list[str]]:
        """Return captions such as "the seven moves left then up"."""
        rows = zip(self.digit, self.moves, strict=True)
        return [["the", DIGITS[d], "moves", *" then ".join(DIRECTIONS[m] for m in moves).split()] for d, moves in rows]


def draw_videos(seed: int, count: int, digits: dict[str, np.ndarray], frames: int, moves: int = 1) -> Videos:
    """Draw videos in which a digit moves by a pixel a frame, in one direction or, from equal parts on, in others.

    Successive directions are at right angles. The place of the digit in the middle of the video is independent of them.
    With as many steps in each direction (``moves`` divides ``frames - 1``) two moves visit the same places as two
    others in the reverse order, so that the places alone do not give the order.
    """
    generator = np.random.default_rng(seed)
    parts, free = np.maximum(np.arange(frames) - 1, 0) * moves // max(1, frames - 1), SIDE - OBJECT
    videos = np.clip(generator.normal(0.1, 0.05, (count, frames, SIDE, SIDE)), 0, 1)
    rows = generator.integers(len(digits["label"]), size=count)
    first = generator.integers(4, size=count)
    turned = (2 - 2 * (first // 2)) + generator.integers(2, size=count)
    directions = np.stack([first if n % 2 == 0 else turned for n in range(moves)], axis=1)
    margin = -(-frames // 2)
    middles = generator.integers(margin, free - margin + 1, (count, 2)) if free > 2 * margin else None
    for n in range(count):
        steps = np.array([list(MOVES.values())[direction] for direction in directions[n, parts]])
        path = np.cumsum(steps, axis=0)
        middle = np.array([free // 2] * 2) if middles is None else middles[n]
        places = np.clip(path - path[frames // 2] + middle, 0, free)
        ink = digits["image"][rows[n]]
        for frame, (y, x) in zip(videos[n], places, strict=True):
            window = frame[y : y + OBJECT, x : x + OBJECT]
            np.maximum(window, ink, out=window)
    return Videos(np.round(255 * videos).astype(np.uint8)[..., None], digits["label"][rows], directions)


class FrameNetwork(linen.Module):
    """Two convolutions with batch norms and poolings over every frame, and a rectified layer: ``[B, T, features]``."""

    channels: int = 16
    features: int = 64

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Compute the features of videos ``[B, T, H, W, C]``."""
        for width in (self.channels, 2 * self.channels):
            x = Conv(width, (3, 3), padding=1, use_bias=False)(x)
            x = max_pool(jax.nn.relu(BatchNorm()(x, train)), (2, 2))
        return jax.nn.relu(linen.Dense(self.features)(x.reshape(*x.shape[:2], -1)))
