"""Where something stands in a sequence, for layers that do not see order by themselves, as attention.

``sinusoidal`` makes vectors that are added to what stands there; ``rotary`` turns queries and keys, so that their
products depend on how far they stand apart. A table of learned vectors is ``flax.linen.Embed`` of the positions.
"""

import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.typing import Array, ArrayLike

PAIRS = ("neighbours", "halves")


def sinusoidal(positions: ArrayLike, features: int, base: float = 10_000.0) -> Array:
    """Return the vectors of positions ``p`` in waves of lengths from ``2 pi`` to ``2 pi base`` (Vaswani et al., 2017)::

        y[2 i]     = sin(p / base^(2 i / D))
        y[2 i + 1] = cos(p / base^(2 i / D))

    Sines and cosines alternate, as in the paper's equation; others put all sines before all cosines, which is the same
    but for the order of the features. The vector of ``p + n`` is that of ``p`` with each pair rotated by an angle that
    depends on ``n`` alone.

    Args:
        positions: ``p``, ``[...]``, often ``jnp.arange(T)``.
        features: ``D``, even.
        base: how much longer the longest wave is than the shortest.

    Returns:
        ``[..., D]``.

    Raises:
        ValueError: the number of features is not even, or below 2.

    >>> sinusoidal(jnp.arange(2), 4).round(3).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.841..., 0.540..., 0.010..., 1.0]]
    """
    angles = _angles(positions, features, base)
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(*angles.shape[:-1], features)


def rotary(x: ArrayLike, positions: ArrayLike, base: float = 10_000.0, pairs: str = "neighbours") -> Array:
    """Rotate each pair of features by an angle that grows with the position ``p`` (Su et al., 2021)::

        y[a_i] = x[a_i] cos(p w_i) - x[b_i] sin(p w_i)
        y[b_i] = x[a_i] sin(p w_i) + x[b_i] cos(p w_i)        w_i = base^(-2 i / D)

    With queries and keys rotated, ``q_p . k_s`` depends on ``p - s`` alone.

    Args:
        x: queries or keys, ``[..., T, D]``.
        positions: ``p``, broadcasting to ``[..., T]``, often ``jnp.arange(T)``. Where every row of a batch has its own,
            ``[B, T]``, and ``x`` has heads, ``[B, H, T, D]``, give ``positions[:, None]``: without it the rows would
            stand for heads, which nothing refuses where ``B = H``.
        base: how much longer the longest wave is than the shortest.
        pairs: which features are a pair ``(a_i, b_i)``: ``"neighbours"``, ``(2 i, 2 i + 1)``, as in the paper and in
            GPT-J; ``"halves"``, ``(i, i + D / 2)``, as in GPT-NeoX and Llama.

    Returns:
        ``[..., T, D]`` in the dtype of ``x``.

    Raises:
        ValueError: the number of features is not even, the positions do not fit, or the pairs are unknown.

    >>> rotary(jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([0.0, jnp.pi / 2])).round(3).tolist()
    [[1.0, 0.0], [-0.0, 1.0]]
    """
    x, positions = jnp.asarray(x), jnp.asarray(positions)
    if pairs not in PAIRS:
        raise ValueError(f"pairs must be one of {', '.join(PAIRS)}; came {pairs!r}")
    fits = positions.ndim < x.ndim and all(
        n in (1, m) for n, m in zip(positions.shape[::-1], x.shape[-2::-1], strict=False)
    )
    if not fits:
        raise ValueError(
            f"positions must broadcast to [..., T] for x [..., T, D]; came {positions.shape} and {x.shape}"
        )
    angles = _angles(positions, x.shape[-1], base)
    angles = angles.reshape((1,) * (x.ndim - angles.ndim) + angles.shape)
    axis = -1 if pairs == "neighbours" else -2
    shape = (-1, 2) if pairs == "neighbours" else (2, -1)
    a, b = jnp.moveaxis(widen(x).reshape(*x.shape[:-1], *shape), axis, 0)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    return jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=axis).reshape(x.shape).astype(x.dtype)


def _angles(positions: ArrayLike, features: int, base: float) -> Array:
    """Return ``p w_i``, ``[..., D / 2]``."""
    if features < 2 or features % 2:
        raise ValueError(f"positions are told by pairs of features, of which there must be an even number; {features}")
    positions = jnp.asarray(positions)
    positions = positions.astype(jnp.promote_types(positions.dtype, jnp.result_type(float)))[..., None]
    frequencies = base ** (-jnp.arange(0, features, 2, dtype=positions.dtype) / features)
    return positions * frequencies.reshape((1,) * (positions.ndim - 1) + frequencies.shape)
