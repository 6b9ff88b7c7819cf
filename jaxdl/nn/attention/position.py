"""Positions in a sequence, for layers that are blind to order, such as attention.

`sinusoidal_positions` makes vectors to add to the embeddings; `rotary_embedding` rotates queries and keys, so that
their products depend on their distance. Learned positions are ``flax.linen.Embed`` of the positions.
"""

import jax.numpy as jnp
from einops import rearrange

from jaxdl.arrays import expand_leading, to_floating, widen
from jaxdl.checks import check_one_of
from jaxdl.typing import Array, ArrayLike

PAIRS = {"neighbours": "... (i pair) -> pair ... i", "halves": "... (pair i) -> pair ... i"}


def sinusoidal_positions(positions: ArrayLike, d_model: int, base: float = 10_000.0) -> Array:
    """Compute vectors of sines and cosines, of wavelengths from ``2 pi`` to ``2 pi base`` (Vaswani et al., 2017)::

        y[2 i]     = sin(p / base^(2 i / D))
        y[2 i + 1] = cos(p / base^(2 i / D))

    Sines and cosines alternate, as in the paper's equation; other codes put all sines before all cosines, a permutation
    of the same entries. The vector of ``p + n`` is that of ``p`` with each pair rotated by an angle that depends on
    ``n`` alone.

    Args:
        positions: ``p``, ``[...]``, often ``jnp.arange(T)``.
        d_model: ``D``, even.
        base: ratio of the longest to the shortest wavelength.

    Returns:
        ``[..., D]``.

    Raises:
        ValueError: ``d_model`` is odd, or less than 2.

    >>> sinusoidal_positions(jnp.arange(2), 4).round(3).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.841..., 0.540..., 0.010..., 1.0]]
    """
    angles = _angles(positions, d_model, base)  # [..., D / 2]
    return rearrange(jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1), "... i pair -> ... (i pair)")


def rotary_embedding(x: ArrayLike, positions: ArrayLike, base: float = 10_000.0, pairs: str = "neighbours") -> Array:
    """Rotate each pair of entries by an angle proportional to the position ``p`` (Su et al., 2021)::

        y[a_i] = x[a_i] cos(p w_i) - x[b_i] sin(p w_i)
        y[b_i] = x[a_i] sin(p w_i) + x[b_i] cos(p w_i)        w_i = base^(-2 i / D)

    With queries and keys rotated, ``q_p . k_s`` depends on ``p - s`` alone.

    Args:
        x: queries or keys, ``[..., T, D]``.
        positions: ``p``, broadcasting to ``[..., T]``, often ``jnp.arange(T)``. For positions of every row of a batch,
            ``[B, T]``, and ``x`` with heads, ``[B, H, T, D]``, pass ``positions[:, None]``; without it the rows would
            broadcast against the heads, silently where ``B = H``.
        base: ratio of the longest to the shortest wavelength.
        pairs: which entries form a pair ``(a_i, b_i)``: ``"neighbours"``, ``(2 i, 2 i + 1)``, as in the paper and in
            GPT-J; ``"halves"``, ``(i, i + D / 2)``, as in GPT-NeoX and Llama.

    Returns:
        ``[..., T, D]`` in the dtype of ``x``.

    Raises:
        ValueError: ``D`` is odd, the positions do not broadcast, or the pairs are unknown.

    >>> rotary_embedding(jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([0.0, jnp.pi / 2])).round(3).tolist()
    [[1.0, 0.0], [-0.0, 1.0]]
    """
    x, positions = to_floating(x), jnp.asarray(positions)
    check_one_of("pairs", pairs, PAIRS)
    fits = positions.ndim < x.ndim and all(
        n in (1, m) for n, m in zip(positions.shape[::-1], x.shape[-2::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"expected positions that broadcast to [..., T] of x {x.shape}, [..., T, D], got {positions.shape}"
        )
    angles = expand_leading(_angles(positions, x.shape[-1], base), x.ndim)  # [..., T, D / 2]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    a, b = rearrange(widen(x), PAIRS[pairs], pair=2)  # each [..., T, D / 2]
    merge = " -> ".join(PAIRS[pairs].split(" -> ")[::-1])
    y = rearrange(jnp.stack([a * cos - b * sin, a * sin + b * cos]), merge)
    return y.astype(x.dtype)


def _angles(positions: ArrayLike, dim: int, base: float) -> Array:
    """Compute ``p w_i``, ``[..., D / 2]``."""
    if dim < 2 or dim % 2:
        raise ValueError(f"expected an even number of entries, got {dim}")
    positions = jnp.asarray(positions)
    positions = positions.astype(jnp.promote_types(positions.dtype, jnp.result_type(float)))[..., None]
    frequencies = base ** (-jnp.arange(0, dim, 2, dtype=positions.dtype) / dim)
    return positions * expand_leading(frequencies, positions.ndim)
