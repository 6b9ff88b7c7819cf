"""Objectives of two players: losses of a generator and a discriminator, the gradient penalty, the best response.

With logits ``D`` of real examples ``x`` and of generated ones ``G(z)``, and ``s`` the logistic sigmoid, the losses are
means of:

===============  ====================================================  =======================
objective        discriminator                                         generator
===============  ====================================================  =======================
saturating       ``-r ln s(D(x)) - (1-r) ln s(-D(x)) - ln s(-D(G))``   ``ln s(-D(G))``
non-saturating   the same                                              ``-ln s(D(G))``
least squares    ``(D(x) - r)^2 + D(G)^2``                             ``(D(G) - 1)^2``
Wasserstein      ``D(G) - D(x)``                                       ``-D(G)``
hinge            ``max(0, 1 - D(x)) + max(0, 1 + D(G))``               ``-D(G)``
===============  ====================================================  =======================

``r`` is the label of real examples, 1, or 0.9 with one-sided label smoothing. Logits have any shape ``[B, ...]``, such
as one for each patch; masks are weights over the leading dimensions.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask, square_root, widen_floating
from jaxdl.checks import check_in_range
from jaxdl.typing import Array, ArrayLike, Key


class AdversarialObjective(NamedTuple):
    """The losses of two players.

    Attributes:
        discriminator: ``discriminator(real, fake, mask=None)``, a scalar for logits of real and of generated examples.
        generator: ``generator(fake, mask=None)``.
    """

    discriminator: Callable[..., Array]
    generator: Callable[..., Array]


def saturating(real_label: float = 1.0) -> AdversarialObjective:
    """Make the minimax objective ``min_G max_D E ln s(D(x)) + E ln s(-D(G(z)))``.

    Its generator minimizes the Jensen-Shannon divergence against the best discriminator, and has no gradient where that
    discriminator is sure.

    Args:
        real_label: ``r``, from 0 to 1; below 1 for one-sided label smoothing (Salimans et al., 2016).

    Raises:
        ValueError: the label is not from 0 to 1.

    Source: Goodfellow et al., "Generative adversarial nets", 2014.

    >>> round(float(saturating().generator(jnp.zeros(4))), 4)  # ln 1/2
    -0.6931
    """
    return AdversarialObjective(_make_cross_entropy(real_label), _minimax_generator)


def non_saturating(real_label: float = 1.0) -> AdversarialObjective:
    """Make the objective whose generator maximizes ``E ln s(D(G(z)))``; arguments as in `saturating`.

    It has the same fixed point and a gradient where the discriminator is sure (Goodfellow et al., 2014).

    >>> round(float(non_saturating().discriminator(jnp.zeros(4), jnp.zeros(4))), 4)  # 2 ln 2
    1.3863
    """
    return AdversarialObjective(_make_cross_entropy(real_label), _non_saturating_generator)


def least_squares(real_label: float = 1.0) -> AdversarialObjective:
    """Make the objective of LSGAN, squared errors of ``D`` without a sigmoid; arguments as in `saturating`.

    Source: Mao et al., "Least squares generative adversarial networks", 2017, with the labels 0, 1 and 1.

    >>> float(least_squares().discriminator(jnp.zeros(4), jnp.ones(4)))
    2.0
    """
    _check_label(real_label)

    def discriminator(real: ArrayLike, fake: ArrayLike, mask: ArrayLike | None = None) -> Array:
        return _squared_error(real, real_label, mask) + _squared_error(fake, 0.0, mask)

    return AdversarialObjective(discriminator, lambda fake, mask=None: _squared_error(fake, 1.0, mask))


def wasserstein() -> AdversarialObjective:
    """Make the objective of a critic with a bounded slope, by `gradient_penalty` or spectral norm.

    Source: Arjovsky, Chintala and Bottou, "Wasserstein GAN", 2017.

    >>> float(wasserstein().discriminator(jnp.ones(4), jnp.zeros(4)))
    -1.0
    """
    return AdversarialObjective(
        lambda real, fake, mask=None: _mean(fake, mask) - _mean(real, mask), lambda fake, mask=None: -_mean(fake, mask)
    )


def hinge() -> AdversarialObjective:
    """Make the objective with a margin of one on both sides (Lim and Ye, 2017; Miyato et al., 2018).

    >>> float(hinge().discriminator(jnp.full(4, 0.5), jnp.full(4, -2.0)))
    0.5
    """

    def discriminator(real: ArrayLike, fake: ArrayLike, mask: ArrayLike | None = None) -> Array:
        real, fake = widen_floating(real), widen_floating(fake)
        return _mean(jax.nn.relu(1 - real), mask) + _mean(jax.nn.relu(1 + fake), mask)

    return AdversarialObjective(discriminator, lambda fake, mask=None: -_mean(fake, mask))


def gradient_penalty(
    critic: Callable[[Array], Array],
    real: ArrayLike,
    fake: ArrayLike,
    key: Key,
    *,
    target: float = 1.0,
    mask: ArrayLike | None = None,
) -> Array:
    """Compute ``E (||dD(x^)/dx^|| - target)^2`` at ``x^ = e x + (1 - e) G(z)``, with ``e`` uniform for each example.

    Add it to a critic's loss with a weight of 10. A critic with batch norm has no gradient of a single example: leave
    it out of the critic.

    Args:
        critic: maps examples ``[B, ...]`` to logits ``[B, ...]``, which are summed for each example.
        real: ``x``, ``[B, ...]``.
        fake: ``G(z)`` of the same shape.
        key: for ``e``.
        target: the slope; 1 in the paper.
        mask: weights ``[B]`` of the examples.

    Raises:
        ValueError: the shapes differ.

    Source: Gulrajani et al., "Improved training of Wasserstein GANs", 2017.

    >>> x = jnp.ones((2, 3))
    >>> float(gradient_penalty(lambda x: 2 * x[:, 0], x, -x, jax.random.key(0)))
    1.0
    """
    real, fake = widen_floating(real), widen_floating(fake)
    if real.shape != fake.shape:
        raise ValueError(f"expected real and fake of one shape, got {real.shape} and {fake.shape}")
    if mask is not None:  # no NaN of the padding may reach the critic's gradient
        valid = fit_mask(mask, real.shape) != 0
        real, fake = jnp.where(valid, real, 0), jnp.where(valid, fake, 0)
    share = jax.random.uniform(key, (len(real),) + (1,) * (real.ndim - 1), real.dtype)
    between = share * real + (1 - share) * fake

    def total(x: Array) -> Array:
        logits = critic(x)  # with batch norm those of the padding depend on the other rows
        return jnp.sum(logits if mask is None else jnp.where(fit_mask(mask, logits.shape) != 0, logits, 0))

    slopes = jax.grad(total)(between)
    squares = jnp.sum(jnp.square(slopes), axis=tuple(range(1, slopes.ndim)))
    return _mean(jnp.square(square_root(squares) - target), mask)  # a critic that is flat has no derivative of it


def optimal_discriminator(log_p_data: ArrayLike, log_p_model: ArrayLike, real_label: float = 1.0) -> Array:
    """Return ``D* = r p_d / (p_d + p_g)``, the probability that the cross-entropy of both densities is least for.

    It is computed from the logarithms, so that it is right where both densities underflow.

    Args:
        log_p_data: ``ln p_d``, ``[...]``.
        log_p_model: ``ln p_g`` of the same shape.
        real_label: ``r``.

    Source: Goodfellow et al., 2014, proposition 1; Salimans et al., 2016, for ``r``.

    >>> optimal_discriminator(jnp.log(jnp.array([0.3, 0.0])), jnp.log(jnp.array([0.1, 0.2]))).round(2).tolist()
    [0.75, 0.0]
    """
    _check_label(real_label)
    return real_label * jax.nn.sigmoid(widen_floating(log_p_data) - widen_floating(log_p_model))


def _make_cross_entropy(real_label: float) -> Callable[..., Array]:
    _check_label(real_label)
    return partial(_cross_entropy, real_label)


def _cross_entropy(real_label: float, real: ArrayLike, fake: ArrayLike, mask: ArrayLike | None = None) -> Array:
    return _labelled(real, real_label, mask) + _labelled(fake, 0.0, mask)


def _labelled(logits: ArrayLike, label: float, mask: ArrayLike | None) -> Array:
    return losses.binary_cross_entropy(logits, jnp.full(jnp.shape(logits), label), mask=mask)


def _non_saturating_generator(fake: ArrayLike, mask: ArrayLike | None = None) -> Array:
    return _labelled(fake, 1.0, mask)


def _minimax_generator(fake: ArrayLike, mask: ArrayLike | None = None) -> Array:
    return -_labelled(fake, 0.0, mask)


def _squared_error(logits: ArrayLike, label: float, mask: ArrayLike | None) -> Array:
    return losses.mean_squared_error(logits, jnp.full(jnp.shape(logits), label), mask=mask)


def _mean(values: ArrayLike, mask: ArrayLike | None) -> Array:
    return metrics.mean(widen_floating(values), mask).value


def _check_label(real_label: float) -> None:
    check_in_range("real_label", real_label, 0, 1)
