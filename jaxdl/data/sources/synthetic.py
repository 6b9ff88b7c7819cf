"""Synthetic tasks drawn from a random key: pure functions, so that ``jax.vmap`` over keys draws many tasks at once.

Each returns ``(x, y)``: points ``[N, D]`` in JAX's default floating type, with int32 labels ``[N]`` that cycle through
the classes, or for `sine` a target ``[N, 1]``. ``noise`` is the standard deviation of the Gaussian noise added to each
coordinate.
"""

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike, Key


def linearly_separable(key: Key, count: int, num_features: int = 2, margin: ArrayLike = 0.1) -> tuple[Array, Array]:
    """Draw points on both sides of a random hyperplane through the origin, at a distance of at least ``margin``.

    With a unit normal ``w`` and labels ``y`` in {0, 1}, ``(2 y - 1) w . x >= margin``; the points are drawn from the
    cube ``[-1, 1]^D`` and then shifted by the margin. A perceptron makes at most ``max ||x||^2 / margin^2`` mistakes
    (Novikoff, 1962).
    """
    key_normal, key_points = jax.random.split(key)
    normal = jax.random.normal(key_normal, (num_features,))
    normal = normal / jnp.linalg.norm(normal)
    points = jax.random.uniform(key_points, (count, num_features), minval=-1.0, maxval=1.0)
    label = _cycle_labels(count, 2)
    sign = 2.0 * label - 1.0
    reflected = jnp.where((points @ normal) * sign < 0, -points.T, points.T).T  # to the side of their class
    return reflected + margin * sign[:, None] * normal[None, :], label


def xor(key: Key, count: int, noise: ArrayLike = 0.0) -> tuple[Array, Array]:
    """Draw corners of the unit square, labelled by exclusive or; no line separates the two classes.

    >>> x, y = xor(jax.random.key(0), 4)
    >>> sorted(zip(x.tolist(), y.tolist()))
    [([0.0, 0.0], 0), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], 0)]
    """
    corner = jnp.arange(count) % 4
    bits = jnp.stack([corner // 2, (corner + corner // 2) % 2], axis=-1)
    return _add_noise(key, bits.astype(float), noise), (bits[:, 0] ^ bits[:, 1]).astype(jnp.int32)


def two_moons(key: Key, count: int, noise: ArrayLike = 0.1) -> tuple[Array, Array]:
    """Draw two interleaved half circles: ``(cos t, sin t)`` and ``(1 - cos t, 1/2 - sin t)``."""
    key_angle, key_noise = jax.random.split(key)
    angle = jax.random.uniform(key_angle, (count,), maxval=jnp.pi)
    label = _cycle_labels(count, 2)
    upper = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    lower = jnp.stack([1 - jnp.cos(angle), 0.5 - jnp.sin(angle)], axis=-1)
    return _add_noise(key_noise, jnp.where(label[:, None] == 0, upper, lower), noise), label


def spirals(
    key: Key, count: int, num_classes: int = 2, turns: ArrayLike = 1.75, noise: ArrayLike = 0.02
) -> tuple[Array, Array]:
    """Draw interleaved spiral arms, ``r = t`` at the angle ``2 pi (turns t + label / num_classes)``, t in [0, 1].

    Source: Lang and Witbrock, "Learning to tell two spirals apart" (1988).
    """
    key_radius, key_noise = jax.random.split(key)
    label = _cycle_labels(count, num_classes)
    radius = jnp.sqrt(jax.random.uniform(key_radius, (count,)))  # evenly dense along the arms
    angle = 2 * jnp.pi * (turns * radius + label / num_classes)
    points = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return _add_noise(key_noise, points, noise), label


def blobs(
    key: Key,
    count: int,
    num_classes: int = 3,
    num_features: int = 2,
    *,
    spread: ArrayLike = 1.0,
    box: float = 10.0,
    centers: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Draw Gaussian blobs of standard deviation ``spread`` around the centres of their classes.

    Unless given, the centres, ``[num_classes, num_features]``, are drawn from the cube ``[-box, box]^D``.

    Raises:
        ValueError: the shape of ``centers`` is another.
    """
    key_centers, key_noise = jax.random.split(key)
    if centers is None:
        centers = jax.random.uniform(key_centers, (num_classes, num_features), minval=-box, maxval=box)
    elif jnp.shape(centers) != (num_classes, num_features):
        raise ValueError(f"expected centers of shape {[num_classes, num_features]}, got {list(jnp.shape(centers))}")
    label = _cycle_labels(count, num_classes)
    return _add_noise(key_noise, jnp.asarray(centers)[label], spread), label


def sine(
    key: Key, count: int, noise: ArrayLike = 0.1, *, low: ArrayLike = -jnp.pi, high: ArrayLike = jnp.pi
) -> tuple[Array, Array]:
    """Draw a regression task: ``y = sin(x)`` plus noise, with ``x`` uniform in [low, high).

    >>> x, y = sine(jax.random.key(0), 5, noise=0.0)
    >>> x.shape, y.shape, bool(jnp.allclose(y, jnp.sin(x)))
    ((5, 1), (5, 1), True)
    """
    key_points, key_noise = jax.random.split(key)
    x = jax.random.uniform(key_points, (count, 1), minval=low, maxval=high)
    return x, _add_noise(key_noise, jnp.sin(x), noise)


def _cycle_labels(count: int, num_classes: int) -> Array:
    return jnp.arange(count, dtype=jnp.int32) % num_classes


def _add_noise(key: Key, x: Array, noise: ArrayLike) -> Array:
    return x + noise * jax.random.normal(key, x.shape, x.dtype)
