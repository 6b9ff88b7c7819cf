"""Losses: pure functions of predictions and targets, with masks and three reductions.

The arguments of every loss are the predictions, the targets, and

- ``mask``: weights ``[...]`` over the leading dimensions, 0 to ignore an element. Ignored elements change neither the
  loss nor a gradient, even if they are NaN.
- ``reduction``: ``"mean"`` divides the weighted sum by the sum of the mask (a mask of zeros gives 0), ``"sum"`` does
  not divide, ``"none"`` returns the weighted losses.

Predictions narrower than float32 are widened first, so a loss has at least single precision. Integers and Booleans are
computed with as floating-point numbers. Errors of complex predictions are those of their moduli; the losses of labels
have no meaning for complex scores and raise a TypeError.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import fit_mask, square_modulus, widen, widen_floating, widen_integers
from jaxdl.checks import check_in_range, check_indices, check_one_of, is_zero
from jaxdl.typing import Array, ArrayLike

REDUCTIONS = ("mean", "sum", "none")
INT32 = np.iinfo(np.int32)


def mean_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``(y_hat - y)^2``, averaged over all elements; the gradient is ``2 (y_hat - y) / count``.

    Args:
        predictions: ``y_hat``, ``[...]``.
        targets: ``y``, of the same shape.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> float(mean_squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    2.0
    """
    y_hat, y, weights = _prepare(predictions, targets, mask)
    return _reduce(square_modulus(y_hat - y), weights, reduction)


def sum_squared_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "sum"
) -> Array:
    """Return ``sum_j (y_hat_j - y_j)^2`` over the outputs ``j`` of an example, summed over the examples.

    ``reduction="mean"`` averages over the examples, not over the outputs: ``1/N sum_i sum_j``.

    Args:
        predictions: ``y_hat``, ``[..., K]``.
        targets: ``y``, of the same shape.
        mask: weights ``[...]`` over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> float(sum_squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])))
    5.0
    """
    y_hat, y, weights = _prepare(predictions, targets, mask, outputs=1)
    return _reduce(jnp.sum(square_modulus(y_hat - y), axis=-1), weights, reduction)


def mean_absolute_error(
    predictions: ArrayLike, targets: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``|y_hat - y|``, averaged over all elements; arguments and errors as in ``mean_squared_error``."""
    y_hat, y, weights = _prepare(predictions, targets, mask)
    return _reduce(jnp.abs(y_hat - y), weights, reduction)


def huber(
    predictions: ArrayLike,
    targets: ArrayLike,
    *,
    delta: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``e^2 / 2`` for small errors and ``delta (|e| - delta / 2)`` for large ones (Huber, 1964).

    Args:
        predictions: ``y_hat``, ``[...]``; ``e = y_hat - y``.
        targets: ``y``, of the same shape.
        delta: the largest error in the quadratic part, above 0.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, ``delta`` is not positive, or the reduction is unknown.

    >>> huber(jnp.array([0.5, -3.0]), jnp.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    y_hat, y, weights = _prepare(predictions, targets, mask)
    check_in_range("delta", delta, includes_low=False)
    size = jnp.abs(y_hat - y)
    bent = jnp.minimum(size, delta)
    return _reduce(bent * (size - bent / 2), weights, reduction)


def binary_cross_entropy(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return ``-y ln p - (1 - y) ln(1 - p)`` with ``p = sigmoid(logits)``, averaged over all elements.

    The logarithms are computed as ``-ln(1 + e^-z)`` and ``-ln(1 + e^z)``, which neither overflow nor cancel; ``0 ln 0``
    is 0, so an infinite logit has a loss of 0 where it is right and of infinity where it is wrong. The outputs are
    independent binary labels; for one class of K, see ``cross_entropy``. Label smoothing replaces ``y`` by
    ``(1 - e) y + e / 2``.

    Args:
        logits: ``z``, ``[...]``.
        targets: ``y``, probabilities of the same shape.
        mask: weights over the leading dimensions.
        label_smoothing: ``e``, from 0 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the smoothing or the reduction is invalid.

    >>> binary_cross_entropy(jnp.array([0.0, 1e4]), jnp.array([1.0, 0.0]), reduction="none").round(4).tolist()
    [0.693..., 10000.0]
    """
    z, y, weights = _prepare(widen_floating(logits), widen_floating(targets), mask)
    _check_smoothing(label_smoothing)
    y = (1 - label_smoothing) * y + label_smoothing / 2
    likelihood = _weighted(y, jax.nn.log_sigmoid(z)) + _weighted(1 - y, jax.nn.log_sigmoid(-z))
    return _reduce(-likelihood, weights, reduction)


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    """Return the softmax cross-entropy ``-sum_k y_k ln p_k`` with ``p = softmax(logits)``.

    It is computed as ``sum_k y_k (logsumexp(logits) - logits_k)``, which is finite for every finite logit. A logit of
    minus infinity is a class of probability 0. One of plus infinity, of a network that has diverged, gives nan for its
    own class and infinity for the others; torch gives nan for all. Label smoothing replaces ``y`` by
    ``(1 - e) y + e / K`` (Szegedy et al., 2016). Class weights are a mask: ``mask=class_weights[labels]``.

    Args:
        logits: ``[..., K]``.
        labels: class indices ``[...]`` (integers, or Booleans for two classes), or probabilities ``[..., K]`` (floats).
            An unmasked class index outside of ``0 .. K - 1`` is an error, and gives nan where it is traced.
        mask: weights ``[...]`` over the leading dimensions.
        label_smoothing: ``e``, from 0 to 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes do not match, a label is no class, or the smoothing or the reduction is invalid.

    >>> float(cross_entropy(jnp.array([[0.0, 0.0]]), jnp.array([1])))
    0.693147...
    """
    z, y, weights = _prepare_classes("logits", logits, labels, mask)
    _check_smoothing(label_smoothing)
    log_p = z - jax.nn.logsumexp(z, axis=-1, keepdims=True)
    loss = -_pick(log_p, y)
    if not is_zero(label_smoothing):
        share = jnp.asarray(label_smoothing, loss.dtype)
        loss = (1 - share) * loss - _weighted(share, jnp.mean(log_p, axis=-1))
    return _reduce(loss, weights, reduction)


def negative_log_likelihood(
    log_probabilities: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``-sum_k y_k ln p_k`` of log-probabilities ``ln p``: minus the log-likelihood of the labels.

    Arguments and errors as in ``cross_entropy``, with log-probabilities ``[..., K]`` in place of logits.

    >>> float(negative_log_likelihood(jnp.log(jnp.array([[0.4, 0.6]])), jnp.array([1])))
    0.5108...
    """
    log_p, y, weights = _prepare_classes("log_probabilities", log_probabilities, labels, mask)
    return _reduce(-_pick(log_p, y), weights, reduction)


def categorical_cross_entropy(
    probabilities: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None, reduction: str = "mean"
) -> Array:
    """Return ``-sum_k y_k ln p_k`` of probabilities ``p``; of logits, ``cross_entropy`` is more accurate.

    A label of probability 0 gives infinity. Arguments and errors as in ``cross_entropy``, with probabilities
    ``[..., K]`` in place of logits.

    >>> float(categorical_cross_entropy(jnp.array([[0.4, 0.6]]), jnp.array([1])))
    0.5108...
    """
    p, y, weights = _prepare_classes("probabilities", probabilities, labels, mask)
    if jnp.issubdtype(y.dtype, jnp.integer):
        likelihood = _pick(p, y) if weights is None else jnp.where(weights != 0, _pick(p, y), 1)
        return _reduce(-jnp.log(likelihood), weights, reduction)
    return _reduce(-jnp.sum(y * jnp.log(jnp.where(y != 0, p, 1)), axis=-1), weights, reduction)


def hinge(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    margin: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``max(0, margin - y s)`` for targets ``y`` of -1 and +1 (Cortes and Vapnik, 1995).

    Args:
        scores: ``s``, ``[...]``.
        targets: ``y``, -1 or +1, of the same shape.
        margin: the least ``y s`` with a loss of zero.
        mask: weights over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> hinge(jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0]), reduction="none").tolist()
    [0.0, 1.5]
    """
    s, y, weights = _prepare(widen_floating(scores), widen_floating(targets), mask)
    return _reduce(jax.nn.relu(margin - y * s), weights, reduction)


def multi_class_hinge(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    margin: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``1/K sum_(k != y) max(0, margin + s_k - s_y)`` (Weston and Watkins, 1999).

    Args:
        scores: ``s``, ``[..., K]``.
        labels: class indices ``y``, ``[...]``, integers.
        margin: the least lead of the label's score over all others with a loss of zero.
        mask: weights ``[...]`` over the leading dimensions.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the labels are not integers, the shapes do not match, or the reduction is unknown.

    >>> float(multi_class_hinge(jnp.array([[2.0, 0.0, 1.5]]), jnp.array([0])))
    0.1666...
    """
    s, y, weights = _prepare_classes("scores", scores, labels, mask)
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(f"expected integer labels of shape {s.shape[:-1]}, got {y.dtype} of shape {y.shape}")
    others = jax.lax.broadcasted_iota(y.dtype, s.shape, s.ndim - 1) != y[..., None]
    costs = jax.nn.relu(margin + s - _pick(s, y)[..., None])
    return _reduce(jnp.sum(jnp.where(others, costs, 0), axis=-1) / s.shape[-1], weights, reduction)


def margin_ranking(
    preferred: ArrayLike,
    other: ArrayLike,
    *,
    margin: float = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return ``max(0, margin + s_r - s)``, zero if the preferred score ``s`` exceeds the other ``s_r`` by the margin.

    It trains word vectors to score a true window above a corrupted one (Collobert and Weston, 2008). Arguments and
    errors as in ``hinge``, with two arrays of scores of one shape.

    >>> float(margin_ranking(jnp.array(0.5), jnp.array(0.25)))
    0.75
    """
    s, s_r, weights = _prepare(widen_floating(preferred), widen_floating(other), mask)
    return _reduce(jax.nn.relu(margin + s_r - s), weights, reduction)


def _zero_masked(x: Array, weights: Array | None) -> Array:
    """Set masked elements to zero, so that no NaN of the padding reaches a gradient."""
    if weights is None:
        return x
    weights = weights.reshape(weights.shape + (1,) * (x.ndim - weights.ndim))
    return jnp.where(weights != 0, x, jnp.zeros((), x.dtype))


def _prepare(
    predictions: ArrayLike, targets: ArrayLike, mask: ArrayLike | None, outputs: int = 0
) -> tuple[Array, Array, Array | None]:
    """Check and widen two arrays of one shape; their last ``outputs`` dimensions belong to one loss."""
    y_hat, y = widen(predictions), widen(targets)
    if y_hat.shape != y.shape:
        raise ValueError(f"expected predictions and targets of one shape, got {y_hat.shape} and {y.shape}")
    if y.ndim < outputs:
        raise ValueError(f"expected predictions and targets with a dimension of outputs, got shape {y.shape}")
    weights = None if mask is None else fit_mask(mask, y.shape[: y.ndim - outputs])
    return _zero_masked(y_hat, weights), _zero_masked(y, weights), weights


def _prepare_classes(
    name: str, scores: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """Check and widen scores ``[..., K]`` with class indices ``[...]`` or probabilities ``[..., K]``."""
    if isinstance(labels, np.ndarray) and np.issubdtype(labels.dtype, np.integer):
        labels = labels.clip(INT32.min, INT32.max)  # JAX would drop the higher bits
    z, y = widen_floating(scores), jnp.asarray(labels)
    y = widen_integers(y) if y.shape == z.shape[:-1] else y
    integers = jnp.issubdtype(y.dtype, jnp.integer)
    if z.ndim == 0 or y.shape != (z.shape[:-1] if integers else z.shape):
        expected = f"integer labels of shape {z.shape[:-1]} or float probabilities of shape {z.shape}"
        raise ValueError(f"expected {expected} for {name} of shape {z.shape}, got {y.dtype} of shape {y.shape}")
    weights = None if mask is None else fit_mask(mask, z.shape[:-1])
    y = _zero_masked(y if integers else widen_floating(y), weights)
    if integers:
        check_indices("labels", y, z.shape[-1])
    return _zero_masked(z, weights), y, weights


def _check_smoothing(label_smoothing: float) -> None:
    check_in_range("label_smoothing", label_smoothing, 0, 1)


def _pick(log_p: Array, y: Array) -> Array:
    """Return ``sum_k y_k log_p_k``, by comparison and not by a gather, so that the gradient needs no scatter."""
    if not jnp.issubdtype(y.dtype, jnp.integer):
        return jnp.sum(_weighted(y, log_p), axis=-1)
    classes = jax.lax.broadcasted_iota(y.dtype, log_p.shape, log_p.ndim - 1)
    picked = jnp.sum(jnp.where(classes == y[..., None], log_p, 0), axis=-1)
    return jnp.where((y >= 0) & (y < log_p.shape[-1]), picked, jnp.nan)


def _weighted(y: Array, log_p: Array) -> Array:
    """Return ``y log_p``, with ``0 ln 0 = 0``; the gradient of ``y`` is ``log_p`` also where ``y`` is 0."""
    return y * jnp.where((y == 0) & jnp.isinf(log_p), 0, log_p)


def _reduce(losses: Array, weights: Array | None, reduction: str) -> Array:
    """Weight and reduce losses."""
    check_one_of("reduction", reduction, REDUCTIONS)
    if weights is not None:
        weights = weights.astype(losses.dtype)
        losses = losses * weights
    if reduction == "none":
        return losses
    total = jnp.sum(losses)
    if reduction == "sum":
        return total
    count = losses.size if weights is None else jnp.sum(jnp.broadcast_to(weights, losses.shape))
    return total / jnp.where(count == 0, 1, count)
