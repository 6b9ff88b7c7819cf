"""Noise as regularization: dropout and additive Gaussian noise. For noisy labels see label smoothing in ``losses``."""

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import to_floating
from jaxdl.checks import check_in_range, check_one_of, former_dropout, is_zero, renamed_fields
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

    With ``p = 1 - rate`` and the mask ``m ~ Bernoulli(p)``, for ``scaling``

    - "inverted": ``y = m x / p`` in training and ``y = x`` in testing;
    - "test_time": ``y = m x`` in training and ``y = p x`` in testing, the form of the paper.

    In both forms the mean of ``y`` in training is ``y`` in testing. Each mask selects a thinned network; for a linear
    layer, testing averages over all of them. The paper drops hidden units with 0.5 and inputs with 0.2.

    Args:
        key: random key; may be None with ``train=False``.
        x: ``[...]``.
        rate: share of units dropped, in [0, 1).
        train: sample a mask.
        scaling: "inverted" or "test_time".
        shared_axes: dimensions that share one mask, ``(1, 2)`` to drop whole channels of ``[B, H, W, C]`` (Tompson et
            al., 2015), ``(1,)`` for one mask over the time of ``[B, T, D]``.

    Raises:
        ValueError: the rate is outside of [0, 1), the scaling is unknown, or the key is missing in training.

    >>> sorted(set(dropout(jax.random.key(0), jnp.ones(50), 0.5).tolist()))
    [0.0, 2.0]
    >>> dropout(None, jnp.ones(2), 0.5, train=False, scaling="test_time").tolist()
    [0.5, 0.5]
    """
    x = to_floating(x)
    check_one_of("scaling", scaling, SCALINGS)
    check_in_range("rate", rate, 0.0, 1.0, includes_high=False)
    if is_zero(rate):
        return x
    p = 1 - rate
    if not train:
        return x if scaling == "inverted" else _scale(x, p)
    if key is None:
        raise ValueError("expected a random key with train=True, got None; pass a key, or train=False for a test")
    shared = _normalize_axes(shared_axes, x.ndim)
    shape = [1 if axis in shared else size for axis, size in enumerate(x.shape)]
    mask = jax.random.bernoulli(key, p, tuple(shape))
    scaled = _scale(x, 1 / p) if scaling == "inverted" else x
    return jnp.where(mask, scaled, jnp.zeros((), x.dtype))


def gaussian_noise(key: Key | None, x: ArrayLike, standard_deviation: ArrayLike = 0.1, *, train: bool = True) -> Array:
    """Add noise in training: ``y = x + s n`` with ``n ~ N(0, 1)``; in testing ``y = x``.

    At the input of a linear model with squared error it is, in expectation, the penalty ``s^2 ||w||^2`` (Bishop, 1995).

    Args:
        key: random key; may be None with ``train=False``.
        x: ``[...]``.
        standard_deviation: ``s``, in the units of ``x``, at least 0.
        train: add the noise.

    Raises:
        ValueError: the standard deviation is negative, or the key is missing in training.

    >>> gaussian_noise(None, jnp.ones(2), train=False).tolist()
    [1.0, 1.0]
    """
    x = to_floating(x)
    check_in_range("standard_deviation", standard_deviation)
    if not train:
        return x
    if key is None:
        raise ValueError("expected a random key with train=True, got None; pass a key, or train=False for a test")
    return x + _scale(jax.random.normal(key, x.shape, x.dtype), standard_deviation)


@renamed_fields(**former_dropout("rate"))
class Dropout(linen.Module):
    """``dropout`` with the random numbers of the collection ``"dropout"``.

    >>> y = Dropout(0.5).apply({}, jnp.ones(50), train=True, rngs={"dropout": jax.random.key(0)})
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    """

    rate: float = 0.5
    scaling: str = "inverted"
    shared_axes: tuple[int, ...] = ()

    @linen.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map ``[...]`` to ``[...]``."""
        train = train and not is_zero(self.rate)
        key = self.make_rng("dropout") if train else None
        return dropout(key, x, self.rate, train=train, scaling=self.scaling, shared_axes=self.shared_axes)


class GaussianNoise(linen.Module):
    """``gaussian_noise`` with the random numbers of the collection ``"dropout"``, as every random layer."""

    standard_deviation: float = 0.1

    @linen.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map ``[...]`` to ``[...]``."""
        key = self.make_rng("dropout") if train else None
        return gaussian_noise(key, x, self.standard_deviation, train=train)


def _scale(x: Array, factor: ArrayLike) -> Array:
    """Multiply by a scalar in the dtype of ``x``."""
    return x * jnp.asarray(factor, x.dtype)


def _normalize_axes(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    if any(not -ndim <= axis < ndim for axis in axes):
        raise ValueError(f"expected shared_axes in [-{ndim}, {ndim}), got {axes}")
    return tuple(axis % ndim for axis in axes)
