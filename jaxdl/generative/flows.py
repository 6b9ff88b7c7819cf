"""Normalizing flows: exact likelihood of any invertible network, its samples, and images as unbounded numbers."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxdl.arrays import flatten_examples, widen_floating
from jaxdl.checks import check_in_range
from jaxdl.typing import Array, ArrayLike, Key


def standard_normal_log_density(z: ArrayLike) -> Array:
    """Compute ``-(|z|^2 + D ln(2 pi)) / 2`` over all dimensions but the first.

    >>> standard_normal_log_density(jnp.zeros((2, 3))).shape
    (2,)
    """
    z = flatten_examples(widen_floating(z))
    return -(jnp.sum(jnp.square(z), axis=1) + z.shape[1] * math.log(2 * math.pi)) / 2


def flow_log_likelihood(z: ArrayLike, log_det: ArrayLike) -> Array:
    """Compute ``ln p(x) = ln N(z; 0, 1) + ln |det dz / dx|`` from the results of a flow.

    Args:
        z: latent vectors or images ``[B, ...]``.
        log_det: logarithms of the determinants ``[B]``.

    Raises:
        ValueError: the shapes do not match.

    >>> x = jnp.array([[0.5]])
    >>> density = jnp.exp(flow_log_likelihood(2 * x, jnp.log(jnp.array([2.0]))))
    >>> round(density.item(), 4)                                    # of a normal variable of deviation 1/2, at 0.5
    0.4839
    """
    log_det = widen_floating(log_det)
    if jnp.ndim(z) < 2 or log_det.shape != jnp.shape(z)[:1]:
        raise ValueError(f"expected z [B, ...] and log_det [B], got {jnp.shape(z)} and {log_det.shape}")
    return standard_normal_log_density(z) + log_det


def sample_flow(
    key: Key, inverse: Callable[[Array], Array], shape: Sequence[int], *, temperature: ArrayLike = 1.0
) -> Array:
    """Draw ``x = inverse(temperature * z)`` with ``z`` standard normal.

    Args:
        key: random key.
        inverse: the inverse of the flow.
        shape: of ``z``, ``(B, ...)``.
        temperature: deviation of ``z``; below 1 it favours probable examples.

    Raises:
        ValueError: the temperature is negative.
    """
    check_in_range("temperature", temperature)
    return inverse(jnp.asarray(temperature) * jax.random.normal(key, tuple(shape)))


def to_logits(x: ArrayLike, margin: float = 0.05) -> tuple[Array, Array]:
    """Map numbers from 0 to 1 to unbounded ones, ``y = logit(margin / 2 + (1 - margin) x)`` (Dinh et al., 2017).

    Args:
        x: ``[B, ...]``, in [0, 1].
        margin: share of the unit interval that is left out at its ends, so that 0 and 1 have finite images.

    Returns:
        ``y``, and ``ln |det dy / dx|`` ``[B]``.

    Raises:
        ValueError: the margin is outside of (0, 1).

    >>> y, log_det = to_logits(jnp.array([[0.5]]))
    >>> y.item(), round(log_det.item(), 4)
    (0.0, 1.335)
    """
    check_in_range("margin", margin, 0.0, 1.0, includes_low=False, includes_high=False)
    p = margin / 2 + (1 - margin) * widen_floating(x)
    y = jnp.log(p) - jnp.log1p(-p)
    slopes = math.log(1 - margin) - jnp.log(p) - jnp.log1p(-p)
    return y, jnp.sum(slopes, axis=tuple(range(1, slopes.ndim)))


def from_logits(y: ArrayLike, margin: float = 0.05) -> Array:
    """Map unbounded numbers to those of which they are the logits, the inverse of `to_logits`.

    >>> round(from_logits(to_logits(jnp.array([[0.25]]))[0]).item(), 4)
    0.25
    """
    check_in_range("margin", margin, 0.0, 1.0, includes_low=False, includes_high=False)
    return (jax.nn.sigmoid(widen_floating(y)) - margin / 2) / (1 - margin)
