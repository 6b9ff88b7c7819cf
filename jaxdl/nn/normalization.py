"""Normalisation: batch, layer, instance, group and local response; formulas first, then modules with parameters.

All but the last have one form, ``y = scale (x - mean) / sqrt(variance + epsilon) + bias``, and differ in what the
moments are taken over. For ``x`` of shape ``[B, H, W, C]`` (any number of dimensions between the first and the last):

========  ==================  ====================================
name      one mean for each   over
========  ==================  ====================================
batch     channel             examples and positions
layer     position            channels
instance  example, channel    positions
group     example, group      positions, channels of a group
========  ==================  ====================================

Moments are computed in at least float32; the result has the dtype of ``x``.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.typing import Array, ArrayLike


class Moments(NamedTuple):
    """The mean, the biased variance (sum of squares over ``count``), and how many numbers they are of."""

    mean: Array
    variance: Array
    count: Array


def moments(
    x: ArrayLike,
    axes: tuple[int, ...],
    *,
    mask: ArrayLike | None = None,
    fast_variance: bool = True,
    axis_name: str | None = None,
) -> Moments:
    """Return ``mean = sum x / n`` and ``variance = sum (x - mean)^2 / n`` over some dimensions, which are kept as 1.

    Args:
        x: ``[...]``.
        axes: the dimensions to sum over.
        mask: weights over the leading dimensions of ``x``; ``n`` is their sum, and of zeros alone both moments are 0.
        fast_variance: take ``variance = sum x^2 / n - mean^2``, which reads ``x`` once and is up to twice as fast, but
            in float32 loses digits where the mean is some hundred times the deviation.
        axis_name: a named axis (of ``vmap`` or ``shard_map``) to sum over as well.

    Raises:
        ValueError: the mask does not fit the leading dimensions.

    >>> moments(jnp.array([[1.0, 5.0], [3.0, 5.0]]), (0,)).variance.tolist()
    [[1.0, 0.0]]
    """
    x = widen(x)
    weights = None if mask is None else _fit(mask, x)
    if weights is not None:
        x = jnp.where(weights != 0, x, 0)

    def total(values: Array) -> Array:
        values = values if weights is None else values * weights
        summed = jnp.sum(values, axis=axes, keepdims=True)
        return summed if axis_name is None else jax.lax.psum(summed, axis_name)

    n = total(jnp.ones([size if axis in axes else 1 for axis, size in enumerate(x.shape)], x.dtype))
    divisor = jnp.where(n == 0, 1, n)
    mean = total(x) / divisor
    if fast_variance:
        variance = jnp.maximum(total(jnp.square(x)) / divisor - jnp.square(mean), 0)
    else:
        variance = total(jnp.square(x - mean)) / divisor
    return Moments(mean, variance, n)


def normalize(
    x: ArrayLike,
    mean: Array,
    variance: Array,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """Return ``scale (x - mean) / sqrt(variance + epsilon) + bias``.

    Args:
        x: ``[..., C]``.
        mean: of as many dimensions as ``x``, or of its last ones: ``[C]``.
        variance: as the mean.
        scale: ``gamma``, of the last dimensions of ``x``; None is 1.
        bias: ``beta``, likewise; None is 0.
        epsilon: what keeps a constant input from division by 0, in the units of the variance.

    >>> normalize(jnp.array([[3.0]]), jnp.array([1.0]), jnp.array([4.0]), jnp.array([10.0]), epsilon=0.0).tolist()
    [[10.0]]
    """
    x = jnp.asarray(x)
    wide = widen(x)
    mean, variance, scale, bias = (None if a is None else _rank(a, x.ndim) for a in (mean, variance, scale, bias))
    factor = jax.lax.rsqrt(variance + epsilon)
    y = (wide - mean) * (factor if scale is None else factor * scale)
    return (y if bias is None else y + bias).astype(x.dtype)


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    mask: ArrayLike | None = None,
    fast_variance: bool = True,
    axis_name: str | None = None,
) -> tuple[Array, Moments]:
    """Normalise every channel over the batch, as in training (Ioffe and Szegedy, 2015).

    For evaluation, ``normalize`` with the running moments. A mask keeps padding out of the moments; what stands there
    comes out as some finite number.

    Args:
        x: ``[B, ..., C]``.
        scale: ``gamma``, ``[C]``.
        bias: ``beta``, ``[C]``.
        epsilon: added to the variance.
        mask: weights over the leading dimensions.
        fast_variance: see ``moments``.
        axis_name: see ``moments``; normalises over all devices together.

    Returns:
        ``y`` of the shape of ``x``, and the moments ``[C]`` of the batch, for the running ones.

    Raises:
        ValueError: ``x`` has fewer than two dimensions, or the mask does not fit.

    >>> y, batch = batch_norm(jnp.array([[1.0], [3.0]]), epsilon=0.0)
    >>> y.tolist(), batch.mean.tolist()
    ([[-1.0], [1.0]], [2.0])
    """
    x = _of_rank("batch_norm", x, 2, "[B, ..., C]")
    if mask is not None:
        x = jnp.where(_fit(mask, x) != 0, x, jnp.zeros((), x.dtype))
    axes = tuple(range(x.ndim - 1))
    batch = moments(x, axes, mask=mask, fast_variance=fast_variance, axis_name=axis_name)
    y = normalize(x, batch.mean, batch.variance, scale, bias, epsilon=epsilon)
    return y, Moments(batch.mean.reshape(-1), batch.variance.reshape(-1), batch.count.reshape(-1)[:1])


def update_running(
    mean: Array, variance: Array, batch: Moments, *, momentum: float = 0.9, unbiased: bool = True
) -> tuple[Array, Array]:
    """Return ``running <- momentum running + (1 - momentum) batch`` for the mean and the variance.

    Args:
        mean: the running mean, ``[C]``.
        variance: the running variance, ``[C]``.
        batch: the moments of the batch; if nothing was counted, nothing changes.
        momentum: what is kept of the old; PyTorch names ``1 - momentum``.
        unbiased: take ``n / (n - 1)`` times the variance of the batch, as the paper and PyTorch do; flax takes the
            biased one. Of a single number the variance stays 0.

    >>> batch = Moments(jnp.array([2.0]), jnp.array([1.0]), jnp.array([2.0]))
    >>> [float(a[0]) for a in update_running(jnp.zeros(1), jnp.zeros(1), batch, momentum=0.5)]
    [1.0, 1.0]
    """
    n = batch.count
    seen = batch.variance * (n / jnp.maximum(n - 1, 1)) if unbiased else batch.variance
    kept = jnp.where(n > 0, momentum, 1.0)
    return (
        (kept * mean + (1 - kept) * batch.mean).astype(mean.dtype),
        (kept * variance + (1 - kept) * seen).astype(variance.dtype),
    )


def layer_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    dimensions: int = 1,
    epsilon: float = 1e-5,
    fast_variance: bool = True,
) -> Array:
    """Normalise over the last dimensions, each position by itself (Ba et al., 2016).

    Args:
        x: ``[..., C]``.
        scale: of the shape of the last ``dimensions`` of ``x``.
        bias: likewise.
        dimensions: over how many of the last dimensions.
        epsilon: added to the variance.
        fast_variance: see ``moments``.

    >>> layer_norm(jnp.array([1.0, 3.0]), epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    x = _of_rank("layer_norm", x, dimensions, "[..., C]")
    mean, variance, _ = moments(x, tuple(range(x.ndim - dimensions, x.ndim)), fast_variance=fast_variance)
    return normalize(x, mean, variance, scale, bias, epsilon=epsilon)


def instance_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    fast_variance: bool = True,
) -> Array:
    """Normalise every channel of every example over its positions (Ulyanov et al., 2016).

    Arguments as in ``batch_norm``, with at least one dimension of positions in ``x``, ``[B, ..., C]``.

    Raises:
        ValueError: ``x`` has no dimension of positions.
    """
    x = _of_rank("instance_norm", x, 3, "[B, ..., C] with positions between")
    mean, variance, _ = moments(x, tuple(range(1, x.ndim - 1)), fast_variance=fast_variance)
    return normalize(x, mean, variance, scale, bias, epsilon=epsilon)


def group_norm(
    x: ArrayLike,
    groups: int,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    fast_variance: bool = True,
) -> Array:
    """Normalise every group of neighbouring channels of every example over its positions (Wu and He, 2018).

    With one group it is layer norm over all of an example, with ``C`` groups instance norm.

    Args:
        x: ``[B, ..., C]``.
        groups: how many groups; it divides ``C``.
        scale: ``[C]``.
        bias: ``[C]``.
        epsilon: added to the variance.
        fast_variance: see ``moments``.

    Raises:
        ValueError: the groups do not divide the channels.

    >>> group_norm(jnp.array([[1.0, 3.0, 5.0, 9.0]]), 2, epsilon=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    x = _of_rank("group_norm", x, 2, "[B, ..., C]")
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"groups must divide the channels; {groups} groups do not divide {x.shape[-1]} channels")
    split = (*x.shape[:-1], groups, x.shape[-1] // groups)
    grouped = x.reshape(split)
    mean, variance, _ = moments(grouped, (*range(1, x.ndim - 1), x.ndim), fast_variance=fast_variance)
    scale, bias = (None if a is None else jnp.asarray(a).reshape(split[-2:]) for a in (scale, bias))
    return normalize(grouped, mean, variance, scale, bias, epsilon=epsilon).reshape(x.shape)


def local_response_norm(
    x: ArrayLike, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, average: bool = False
) -> Array:
    """Return ``x_c / (k + alpha sum_j x_j^2)^beta`` over the ``size`` channels ``j`` around ``c``.

    As in AlexNet (Krizhevsky et al., 2012); channels beyond the ends count as 0.

    Args:
        x: ``[..., C]``.
        size: the width of the window, channels.
        alpha: the weight of the sum.
        beta: the exponent.
        k: what is added, so that the sum may be 0.
        average: divide the sum by ``size``, as PyTorch does (whose ``k`` is 1 by default).

    >>> local_response_norm(jnp.array([1.0, 2.0]), size=3, alpha=1.0, beta=1.0, k=0.0).tolist()
    [0.2..., 0.4...]
    """
    x = jnp.asarray(x)
    channels = x.shape[-1]
    squares = jnp.square(widen(x))
    padded = jnp.pad(squares, [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)])
    total = sum(padded[..., i : i + channels] for i in range(size))
    return (x * (k + alpha / (size if average else 1) * total) ** -beta).astype(x.dtype)


class _Affine(nn.Module):
    """What the modules have in common: a scale and a bias, each of which may be left out."""

    epsilon: float = 1e-5
    fast_variance: bool = True
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Any = nn.initializers.ones
    bias_init: Any = nn.initializers.zeros
    param_dtype: Any = jnp.float32

    def scale_and_bias(self, shape: tuple[int, ...]) -> tuple[Array | None, Array | None]:
        """Make the parameters that are asked for."""
        scale = self.param("scale", self.scale_init, shape, self.param_dtype) if self.use_scale else None
        bias = self.param("bias", self.bias_init, shape, self.param_dtype) if self.use_bias else None
        return scale, bias

    def settings(self) -> dict[str, Any]:
        """What the functions are told."""
        return {"epsilon": self.epsilon, "fast_variance": self.fast_variance}


class BatchNorm(_Affine):
    """``batch_norm`` with parameters, and running moments ``mean`` and ``var`` in the collection ``batch_stats``.

    With ``train=True`` it normalises by the batch and, if the collection is mutable, updates the running moments; with
    ``train=False`` it normalises by the running moments.

    >>> import jax
    >>> forms = jax.eval_shape(BatchNorm().init, jax.random.key(0), jnp.zeros((2, 5, 5, 3)))
    >>> {name: sorted(group) for name, group in forms.items()}
    {'batch_stats': ['mean', 'var'], 'params': ['bias', 'scale']}
    """

    momentum: float = 0.9
    unbiased: bool = True
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False, mask: Array | None = None) -> Array:
        """Map ``[B, ..., C]`` to the same shape; ``mask`` weighs the leading dimensions."""
        shape = (x.shape[-1],)
        scale, bias = self.scale_and_bias(shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, self.param_dtype)
        var = self.variable("batch_stats", "var", jnp.ones, shape, self.param_dtype)
        if not train:
            return normalize(x, mean.value, var.value, scale, bias, epsilon=self.epsilon)
        axis_name = None if self.is_initializing() else self.axis_name
        y, batch = batch_norm(x, scale, bias, mask=mask, axis_name=axis_name, **self.settings())
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            mean.value, var.value = update_running(
                mean.value, var.value, batch, momentum=self.momentum, unbiased=self.unbiased
            )
        return y


class LayerNorm(_Affine):
    """``layer_norm`` with parameters ``scale`` and ``bias``."""

    dimensions: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[..., C]`` to the same shape."""
        scale, bias = self.scale_and_bias(x.shape[x.ndim - self.dimensions :])
        return layer_norm(x, scale, bias, dimensions=self.dimensions, **self.settings())


class InstanceNorm(_Affine):
    """``instance_norm`` with parameters ``scale`` and ``bias``."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[B, ..., C]`` to the same shape."""
        scale, bias = self.scale_and_bias(x.shape[-1:])
        return instance_norm(x, scale, bias, **self.settings())


class GroupNorm(_Affine):
    """``group_norm`` with parameters ``scale`` and ``bias``."""

    groups: int = 32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[B, ..., C]`` to the same shape."""
        scale, bias = self.scale_and_bias(x.shape[-1:])
        return group_norm(x, self.groups, scale, bias, **self.settings())


def _rank(a: ArrayLike, ndim: int) -> Array:
    """Put dimensions of 1 before what belongs to the last dimensions."""
    a = jnp.asarray(a)
    return jnp.expand_dims(a, tuple(range(ndim - a.ndim)))


def _of_rank(name: str, x: ArrayLike, least: int, form: str) -> Array:
    x = jnp.asarray(x)
    if x.ndim < least:
        raise ValueError(f"{name} takes x of shape {form}; got {x.shape}")
    return x


def _fit(mask: ArrayLike, x: Array) -> Array:
    """Give a mask over leading dimensions the number of dimensions of ``x``."""
    mask = jnp.asarray(mask)
    if mask.ndim > x.ndim or any(m not in (1, n) for m, n in zip(mask.shape, x.shape, strict=False)):
        raise ValueError(f"mask of shape {mask.shape} does not fit the leading dimensions of x of shape {x.shape}")
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)).astype(widen(x).dtype)
