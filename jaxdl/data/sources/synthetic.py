"""Small tasks drawn from a random key: pure functions, so ``jax.vmap`` over keys gives a task for every seed.

Each returns ``(x, y)``: points ``[N, D]`` in JAX's default floating type, with int32 labels ``[N]``, the classes
taking turns, or for :func:`sine` a target ``[N, 1]``. ``noise`` is the standard deviation of the Gaussian noise that
is added to each coordinate.
"""

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike, Key


def linearly_separable(key: Key, count: int, features: int = 2, margin: ArrayLike = 0.1) -> tuple[Array, Array]:
    """Draw points on either side of a random hyperplane through the origin, none nearer to it than ``margin``.

    With a unit normal ``w`` and labels ``y`` in {0, 1}, ``(2 y - 1) w . x >= margin``; the points lie in the cube
    ``[-1, 1]^D`` before they are moved away by the margin. So a perceptron makes at most ``max ||x||^2 / margin^2``
    mistakes (Novikoff, 1962).
    """
    key_normal, key_points = jax.random.split(key)
    normal = jax.random.normal(key_normal, (features,))
    normal = normal / jnp.linalg.norm(normal)
    points = jax.random.uniform(key_points, (count, features), minval=-1.0, maxval=1.0)
    label = _turns(count, 2)
    sign = 2.0 * label - 1.0
    turned = jnp.where((points @ normal) * sign < 0, -points.T, points.T).T  # to the side of their class
    return turned + margin * sign[:, None] * normal[None, :], label


def xor(key: Key, count: int, noise: ArrayLike = 0.0) -> tuple[Array, Array]:
    """Draw corners of the unit square, labelled by exclusive or: no line separates the two classes.

    >>> x, y = xor(jax.random.key(0), 4)
    >>> sorted(zip(x.tolist(), y.tolist()))
    [([0.0, 0.0], 0), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], 0)]
    """
    corner = jnp.arange(count) % 4
    bits = jnp.stack([corner // 2, (corner + corner // 2) % 2], axis=-1)
    return _noisy(key, bits.astype(float), noise), (bits[:, 0] ^ bits[:, 1]).astype(jnp.int32)


def two_moons(key: Key, count: int, noise: ArrayLike = 0.1) -> tuple[Array, Array]:
    """Draw two half circles that reach into each other: ``(cos t, sin t)`` and ``(1 - cos t, 1/2 - sin t)``."""
    key_angle, key_noise = jax.random.split(key)
    angle = jax.random.uniform(key_angle, (count,), maxval=jnp.pi)
    label = _turns(count, 2)
    upper = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    lower = jnp.stack([1 - jnp.cos(angle), 0.5 - jnp.sin(angle)], axis=-1)
    return _noisy(key_noise, jnp.where(label[:, None] == 0, upper, lower), noise), label


def spirals(
    key: Key, count: int, classes: int = 2, turns: ArrayLike = 1.75, noise: ArrayLike = 0.02
) -> tuple[Array, Array]:
    """Draw ``classes`` interleaved arms, ``r = t`` at the angle ``2 pi (turns t + label / classes)``, t in [0, 1].

    Source: Lang and Witbrock, "Learning to tell two spirals apart" (1988).
    """
    key_radius, key_noise = jax.random.split(key)
    label = _turns(count, classes)
    radius = jnp.sqrt(jax.random.uniform(key_radius, (count,)))  # so that the arms are evenly dense
    angle = 2 * jnp.pi * (turns * radius + label / classes)
    points = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return _noisy(key_noise, points, noise), label


def blobs(
    key: Key,
    count: int,
    classes: int = 3,
    features: int = 2,
    *,
    spread: ArrayLike = 1.0,
    box: float = 10.0,
    centers: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Draw Gaussian clouds of standard deviation ``spread`` around the centre of their class.

    The centres, ``[classes, features]``, are drawn from the cube ``[-box, box]^D`` where they are not given.
    """
    key_centers, key_noise = jax.random.split(key)
    if centers is None:
        centers = jax.random.uniform(key_centers, (classes, features), minval=-box, maxval=box)
    elif jnp.shape(centers) != (classes, features):
        raise ValueError(f"centers must have shape {[classes, features]}, got {list(jnp.shape(centers))}")
    label = _turns(count, classes)
    return _noisy(key_noise, jnp.asarray(centers)[label], spread), label


def sine(
    key: Key, count: int, noise: ArrayLike = 0.1, *, lowest: ArrayLike = -jnp.pi, highest: ArrayLike = jnp.pi
) -> tuple[Array, Array]:
    """Draw a regression: ``y = sin(x)`` plus noise, at ``x`` drawn evenly from [lowest, highest).

    >>> x, y = sine(jax.random.key(0), 5, noise=0.0)
    >>> x.shape, y.shape, bool(jnp.allclose(y, jnp.sin(x)))
    ((5, 1), (5, 1), True)
    """
    key_points, key_noise = jax.random.split(key)
    x = jax.random.uniform(key_points, (count, 1), minval=lowest, maxval=highest)
    return x, _noisy(key_noise, jnp.sin(x), noise)


def _turns(count: int, classes: int) -> Array:
    return jnp.arange(count, dtype=jnp.int32) % classes


def _noisy(key: Key, x: Array, noise: ArrayLike) -> Array:
    return x + noise * jax.random.normal(key, x.shape, x.dtype)
