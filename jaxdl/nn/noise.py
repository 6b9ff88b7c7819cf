"""Noise as a regulariser: dropout and additive Gaussian noise. Noise in the labels is ``losses``' label smoothing."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike, Key

SCALINGS = ("inverted", "test_time")


def dropout(
    key: Key | None,
    x: ArrayLike,
    rate: ArrayLike = 0.5,
    *,
    train: bool = True,
    scaling: str = "inverted",
    shared_axes: tuple[int, ...] = (),
) -> Array:
    """Drop each unit with probability ``rate`` (Srivastava et al., 2014).

    With ``p = 1 - rate`` and the mask ``m ~ Bernoulli(p)``, by ``scaling``

    - "inverted": ``y = m x / p`` in training and ``y = x`` in testing;
    - "test_time": ``y = m x`` in training and ``y = p x`` in testing, the form of the paper.

    In both the mean of ``y`` in training is ``y`` in testing. Each mask is a thinned network, and for a linear layer
    the test is the average over all of them. The paper drops hidden units with 0.5 and inputs with 0.2.

    Args:
        key: a random key; None where ``train`` is False.
        x: ``[...]``.
        rate: probability of dropping a unit, in [0, 1).
        train: draw a mask.
        scaling: "inverted" or "test_time".
        shared_axes: dimensions along which all units share their fate, ``(1, 2)`` to drop whole channels of
            ``[B, H, W, C]`` (Tompson et al., 2015), ``(1,)`` to keep one mask over the time of ``[B, T, D]``.

    Raises:
        ValueError: the rate is outside of [0, 1), the scaling is unknown, or there is no key to train with.

    >>> sorted(set(dropout(jax.random.key(0), jnp.ones(50), 0.5).tolist()))
    [0.0, 2.0]
    >>> dropout(None, jnp.ones(2), 0.5, train=False, scaling="test_time").tolist()
    [0.5, 0.5]
    """
    x = _floating(x)
    _check_dropout(rate, scaling)
    if _keeps_all(rate):
        return x
    retain = 1 - rate
    if not train:
        return x if scaling == "inverted" else _times(x, retain)
    if key is None:
        raise ValueError("dropout needs a random key to train; for a test pass train=False")
    shape = [1 if axis in _positive(shared_axes, x.ndim) else size for axis, size in enumerate(x.shape)]
    mask = jax.random.bernoulli(key, retain, tuple(shape))
    kept = _times(x, 1 / retain) if scaling == "inverted" else x
    return jnp.where(mask, kept, jnp.zeros((), x.dtype))


def gaussian_noise(key: Key | None, x: ArrayLike, standard_deviation: ArrayLike = 0.1, *, train: bool = True) -> Array:
    """Add noise in training: ``y = x + s n`` with ``n ~ N(0, 1)``; in testing ``y = x``.

    At the input of a linear model with squared error it is, in expectation, the penalty ``s^2 ||w||^2`` (Bishop, 1995).

    Args:
        key: a random key; None where ``train`` is False.
        x: ``[...]``.
        standard_deviation: ``s``, in the units of ``x``, at least 0.
        train: add the noise.

    Raises:
        ValueError: the standard deviation is negative, or there is no key to train with.

    >>> gaussian_noise(None, jnp.ones(2), train=False).tolist()
    [1.0, 1.0]
    """
    x = _floating(x)
    if isinstance(standard_deviation, int | float) and not standard_deviation >= 0:
        raise ValueError(f"standard_deviation must be at least 0; got {standard_deviation}")
    if not train:
        return x
    if key is None:
        raise ValueError("gaussian_noise needs a random key to train; for a test pass train=False")
    return x + _times(jax.random.normal(key, x.shape, x.dtype), standard_deviation)


class Dropout(nn.Module):
    """``dropout`` with the random numbers of the collection ``"dropout"``.

    >>> y = Dropout(0.5).apply({}, jnp.ones(50), train=True, rngs={"dropout": jax.random.key(0)})
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    """

    rate: float = 0.5
    scaling: str = "inverted"
    shared_axes: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map ``[...]`` to ``[...]``."""
        train = train and not _keeps_all(self.rate)
        key = self.make_rng("dropout") if train else None
        return dropout(key, x, self.rate, train=train, scaling=self.scaling, shared_axes=self.shared_axes)


class GaussianNoise(nn.Module):
    """``gaussian_noise`` with the random numbers of the collection ``"dropout"``, which feeds every random layer."""

    standard_deviation: float = 0.1

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map ``[...]`` to ``[...]``."""
        key = self.make_rng("dropout") if train else None
        return gaussian_noise(key, x, self.standard_deviation, train=train)


def _floating(x: ArrayLike) -> Array:
    """Make an array of floating-point numbers, whose dtype stays if it is one."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))


def _keeps_all(rate: ArrayLike) -> bool:
    """Say whether nothing is dropped for certain; of a traced number that cannot be known."""
    return isinstance(rate, int | float) and rate == 0


def _times(x: Array, factor: ArrayLike) -> Array:
    """Multiply by a scalar in the dtype of ``x``."""
    return x * jnp.asarray(factor, x.dtype)


def _positive(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    if any(not -ndim <= axis < ndim for axis in axes):
        raise ValueError(f"shared_axes must be dimensions of an array of {ndim}; got {axes}")
    return tuple(axis % ndim for axis in axes)


def _check_dropout(rate: ArrayLike, scaling: str) -> None:
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}")
    if isinstance(rate, int | float) and not 0 <= rate < 1:
        raise ValueError(f"expected a rate in [0, 1), the share of units dropped, got {rate}")
