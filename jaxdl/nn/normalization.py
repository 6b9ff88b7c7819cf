"""Normalization: batch, layer, instance, group, root mean square and local response; functions, then their modules.

The first four are ``y = scale (x - mean) / sqrt(variance + epsilon) + bias``, with moments over different dimensions.
For ``x`` of shape ``[B, H, W, C]`` (any number of dimensions between the first and the last):

========  ==================  ====================================
name      one mean per        over
========  ==================  ====================================
batch     channel             examples and positions
layer     position            channels
instance  example, channel    positions
group     example, group      positions, channels of a group
========  ==================  ====================================

Moments are computed in at least float32; the result has the dtype of ``x``, or the default floating-point dtype where
``x`` are integers.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from flax import linen

from jaxdl.arrays import expand_leading, fit_mask, to_floating, widen
from jaxdl.checks import check_positive_integer
from jaxdl.nn.statistics import Moments, moments, normalize, update_running
from jaxdl.typing import Array, ArrayLike


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    mask: ArrayLike | None = None,
    fast_variance: bool = False,
    axis_name: str | None = None,
) -> tuple[Array, Moments]:
    """Normalize every channel over the batch, as in training (Ioffe and Szegedy, 2015).

    For evaluation, use ``normalize`` with the running moments. A mask excludes padding from the moments; the output
    there is finite.

    Args:
        x: ``[B, ..., C]``.
        scale: ``gamma``, ``[C]``.
        bias: ``beta``, ``[C]``.
        epsilon: added to the variance.
        mask: weights over the leading dimensions.
        fast_variance: see ``moments``.
        axis_name: see ``moments``; normalizes over all devices together.

    Returns:
        ``y`` of the shape of ``x``, and the moments ``[C]`` of the batch, for the running ones.

    Raises:
        ValueError: ``x`` has fewer than two dimensions, or the mask does not broadcast.

    >>> y, batch = batch_norm(jnp.array([[1.0], [3.0]]), epsilon=0.0)
    >>> y.tolist(), batch.mean.tolist()
    ([[-1.0], [1.0]], [2.0])
    """
    x = _check_rank(x, 2, "[B, ..., C]")
    if mask is not None:
        x = jnp.where(fit_mask(mask, x.shape) != 0, x, jnp.zeros((), x.dtype))
    axes = tuple(range(x.ndim - 1))
    y, batch = _normalize_over(axes, x, scale, bias, epsilon, mask, fast_variance=fast_variance, axis_name=axis_name)
    return y, Moments(batch.mean.reshape(-1), batch.variance.reshape(-1), batch.count.reshape(-1)[:1])


def layer_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    dimensions: int = 1,
    epsilon: float = 1e-5,
    fast_variance: bool = False,
) -> Array:
    """Normalize over the last dimensions, each position separately (Ba et al., 2016).

    Args:
        x: ``[..., C]``.
        scale: of the shape of the last ``dimensions`` of ``x``.
        bias: likewise.
        dimensions: number of last dimensions.
        epsilon: added to the variance.
        fast_variance: see ``moments``.

    >>> layer_norm(jnp.array([1.0, 3.0]), epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    x = _check_rank(x, dimensions, "[..., C]")
    axes = tuple(range(x.ndim - dimensions, x.ndim))
    return _normalize_over(axes, x, scale, bias, epsilon, fast_variance=fast_variance)[0]


def instance_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    fast_variance: bool = False,
) -> Array:
    """Normalize every channel of every example over its positions (Ulyanov et al., 2016).

    Arguments as in ``batch_norm``, with at least one dimension of positions in ``x``, ``[B, ..., C]``.

    Raises:
        ValueError: ``x`` has no dimension of positions.
    """
    x = _check_rank(x, 3, "[B, ..., C] with positions between")
    return _normalize_over(tuple(range(1, x.ndim - 1)), x, scale, bias, epsilon, fast_variance=fast_variance)[0]


def group_norm(
    x: ArrayLike,
    groups: int,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    fast_variance: bool = False,
) -> Array:
    """Normalize every group of neighbouring channels of every example over its positions (Wu and He, 2018).

    With one group it is layer norm over a whole example, with ``C`` groups instance norm.

    Args:
        x: ``[B, ..., C]``.
        groups: number of groups, a divisor of ``C``.
        scale: ``[C]``.
        bias: ``[C]``.
        epsilon: added to the variance.
        fast_variance: see ``moments``.

    Raises:
        ValueError: the groups do not divide the channels.

    >>> group_norm(jnp.array([[1.0, 3.0, 5.0, 9.0]]), 2, epsilon=0.0).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    x = _check_rank(x, 2, "[B, ..., C]")
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"expected groups to divide the {x.shape[-1]} channels, got {groups}")
    grouped = rearrange(x, "... (g c) -> ... g c", g=groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    scale, bias = (None if a is None else rearrange(jnp.asarray(a), "(g c) -> g c", g=groups) for a in (scale, bias))
    y, _ = _normalize_over(axes, grouped, scale, bias, epsilon, fast_variance=fast_variance)
    return rearrange(y, "... g c -> ... (g c)")


def rms_norm(x: ArrayLike, scale: ArrayLike | None = None, *, dimensions: int = 1, epsilon: float = 1e-5) -> Array:
    """Compute ``scale x / sqrt(mean x^2 + epsilon)`` over the last dimensions (Zhang and Sennrich, 2019).

    It is layer norm without the mean and the bias, computed in at least float32.

    Args:
        x: ``[..., C]``.
        scale: ``gamma``, of the shape of the last ``dimensions`` of ``x``.
        dimensions: number of last dimensions.
        epsilon: added to the mean of the squares.

    >>> rms_norm(jnp.array([1.0, 7.0]), epsilon=0.0).round(3).tolist()
    [0.2..., 1.4...]
    """
    x = _check_rank(x, dimensions, "[..., C]")
    return _divide_by_root_mean_square(tuple(range(x.ndim - dimensions, x.ndim)), x, scale, epsilon)


def local_response_norm(
    x: ArrayLike, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, average: bool = False
) -> Array:
    """Compute ``x_c / (k + alpha sum_j x_j^2)^beta`` over the ``size`` channels ``j`` around ``c``.

    As in AlexNet (Krizhevsky et al., 2012), with zeros beyond the ends.

    Args:
        x: ``[..., C]``.
        size: the number of channels in the window.
        alpha: the factor of the sum.
        beta: the exponent.
        k: the constant term.
        average: divide the sum by ``size``, as PyTorch does (whose ``k`` is 1 by default).

    Raises:
        ValueError: the size is not positive.

    >>> local_response_norm(jnp.array([1.0, 2.0]), size=3, alpha=1.0, beta=1.0, k=0.0).tolist()
    [0.2..., 0.4...]
    """
    check_positive_integer("size", size)
    x = to_floating(x)
    channels = x.shape[-1]
    squares = jnp.square(widen(x))
    padded = jnp.pad(squares, [(0, 0)] * (x.ndim - 1) + [(size // 2, (size - 1) // 2)])
    total = sum(padded[..., i : i + channels] for i in range(size))
    return (x * (k + alpha / (size if average else 1) * total) ** -beta).astype(x.dtype)


class _Affine(linen.Module):
    """The base class: an optional scale and an optional bias."""

    epsilon: float = 1e-5
    fast_variance: bool = False
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Any = linen.initializers.ones
    bias_init: Any = linen.initializers.zeros
    param_dtype: Any = jnp.float32

    def scale_and_bias(self, shape: tuple[int, ...]) -> tuple[Array | None, Array | None]:
        """Create the parameters in use."""
        scale = self.param("scale", self.scale_init, shape, self.param_dtype) if self.use_scale else None
        bias = self.param("bias", self.bias_init, shape, self.param_dtype) if self.use_bias else None
        return scale, bias

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of the functions."""
        return {"epsilon": self.epsilon, "fast_variance": self.fast_variance}


class BatchNorm(_Affine):
    """``batch_norm`` with parameters, and running moments ``mean`` and ``var`` in the collection ``batch_stats``.

    With ``train=True`` it normalizes by the moments of the batch and, if the collection is mutable, updates the running
    moments; with ``train=False`` it normalizes by the running moments.

    >>> import jax
    >>> forms = jax.eval_shape(BatchNorm().init, jax.random.key(0), jnp.zeros((2, 5, 5, 3)))
    >>> {name: sorted(group) for name, group in forms.items()}
    {'batch_stats': ['mean', 'var'], 'params': ['bias', 'scale']}
    """

    momentum: float = 0.9
    unbiased: bool = True
    axis_name: str | None = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False, mask: Array | None = None) -> Array:
        """Map ``[B, ..., C]`` to the same shape; ``mask`` are weights over the leading dimensions."""
        shape = (x.shape[-1],)
        scale, bias = self.scale_and_bias(shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape, self.param_dtype)
        var = self.variable("batch_stats", "var", jnp.ones, shape, self.param_dtype)
        if not train:
            return _normalize(x, mean.value, var.value, scale, bias, epsilon=self.epsilon)
        axis_name = None if self.is_initializing() else self.axis_name
        y, batch = batch_norm(x, scale, bias, mask=mask, axis_name=axis_name, **self.options())
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            mean.value, var.value = _update_running(
                mean.value, var.value, batch, momentum=self.momentum, unbiased=self.unbiased
            )
        return y


class LayerNorm(_Affine):
    """``layer_norm`` with parameters ``scale`` and ``bias``."""

    dimensions: int = 1

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[..., C]`` to the same shape."""
        scale, bias = self.scale_and_bias(x.shape[x.ndim - self.dimensions :])
        return layer_norm(x, scale, bias, dimensions=self.dimensions, **self.options())


class RMSNorm(linen.Module):
    """``rms_norm`` with a parameter ``scale``."""

    epsilon: float = 1e-5
    use_scale: bool = True
    dimensions: int = 1
    scale_init: Any = linen.initializers.ones
    param_dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[..., C]`` to the same shape."""
        shape = x.shape[x.ndim - self.dimensions :]
        scale = self.param("scale", self.scale_init, shape, self.param_dtype) if self.use_scale else None
        return rms_norm(x, scale, dimensions=self.dimensions, epsilon=self.epsilon)


class InstanceNorm(_Affine):
    """``instance_norm`` with parameters ``scale`` and ``bias``."""

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[B, ..., C]`` to the same shape."""
        scale, bias = self.scale_and_bias(x.shape[-1:])
        return instance_norm(x, scale, bias, **self.options())


class GroupNorm(_Affine):
    """``group_norm`` with parameters ``scale`` and ``bias``."""

    groups: int = 32

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map ``[B, ..., C]`` to the same shape."""
        scale, bias = self.scale_and_bias(x.shape[-1:])
        return group_norm(x, self.groups, scale, bias, **self.options())


@contextmanager
def row_mask(mask: ArrayLike | None) -> Iterator[None]:
    """Leave the rows of a batch whose mask is 0, such as those that fill it up, out of every batch norm inside.

    Within the context, each `BatchNorm` of a model, and each of flax, that is called in training without a mask takes
    this one: its moments and the running ones are those of the other rows. The tasks run models this way.

    Args:
        mask: ``[B]``; what is not 0 counts fully. None leaves everything as it is.

    Raises:
        ValueError: inside, a norm has an input of other than ``B`` rows.

    >>> import jax
    >>> norm, x = BatchNorm(use_scale=False, use_bias=False, epsilon=0.0), jnp.array([[1.0], [3.0], [9.0]])
    >>> variables = norm.init(jax.random.key(0), x)
    >>> with row_mask(jnp.array([1, 1, 0])):
    ...     y, state = norm.apply(variables, x, train=True, mutable="batch_stats")
    >>> y[:2].tolist(), round(state["batch_stats"]["mean"].item(), 4)
    ([[-1.0], [1.0]], 0.2)
    """
    if mask is None:
        yield
        return
    rows = jnp.asarray(mask) != 0

    def give_mask(function: Callable, args: tuple, kwargs: Mapping[str, Any], context: linen.module.InterceptorContext):
        norm = isinstance(context.module, BatchNorm | linen.BatchNorm) and context.method_name == "__call__"
        if norm and kwargs.get("mask") is None and len(args) < 3:
            x = jnp.asarray(args[0] if args else kwargs["x"])
            if x.shape[:1] != rows.shape:
                raise ValueError(
                    f"expected x of {rows.size} rows in a batch norm, as in the mask of the batch, got {x.shape}; "
                    "give this norm a mask of its own"
                )
            counted = rows if isinstance(context.module, BatchNorm) else rows | ~jnp.any(rows)  # flax: else NaN
            kwargs = {**kwargs, "mask": counted.reshape(rows.shape + (1,) * (x.ndim - 1))}
        return function(*args, **kwargs)

    with linen.intercept_methods(give_mask):
        yield


@contextmanager
def running_momentum(momentum: ArrayLike) -> Iterator[None]:
    """Update the running moments of every batch norm inside with one momentum, ``m r + (1 - m) batch``.

    With ``m = n / (n + 1)`` at the batch ``n = 0, 1, ...`` they become the mean over the batches:
    ``train.recompute_statistics``. It holds for `BatchNorm` and for that of flax.

    >>> import jax
    >>> norm, x = BatchNorm(), jnp.array([[1.0], [3.0]])
    >>> variables = norm.init(jax.random.key(0), x)
    >>> with running_momentum(0.0):
    ...     _, state = norm.apply(variables, x, train=True, mutable="batch_stats")
    >>> state["batch_stats"]["mean"].tolist()
    [2.0]
    """

    def give_momentum(
        function: Callable, args: tuple, kwargs: Mapping[str, Any], context: linen.module.InterceptorContext
    ):
        module = context.module
        if not isinstance(module, BatchNorm | linen.BatchNorm) or context.method_name != "__call__":
            return function(*args, **kwargs)
        own = module.momentum
        object.__setattr__(module, "momentum", momentum)  # modules are frozen
        try:
            return function(*args, **kwargs)
        finally:
            object.__setattr__(module, "momentum", own)

    with linen.intercept_methods(give_momentum):
        yield


# Compiled, the functions are one program where arrays are concrete, and traced once for all equal layers of a network.
_normalize = jax.jit(normalize)
_update_running = jax.jit(update_running, static_argnames="unbiased")


@partial(jax.jit, static_argnums=0, static_argnames=("fast_variance", "axis_name"))
def _normalize_over(
    axes: tuple[int, ...],
    x: Array,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    epsilon: float,
    mask: ArrayLike | None = None,
    *,
    fast_variance: bool = False,
    axis_name: str | None = None,
) -> tuple[Array, Moments]:
    """Normalize by the moments over some dimensions; return these too."""
    found = moments(x, axes, mask=mask, fast_variance=fast_variance, axis_name=axis_name)
    return normalize(x, found.mean, found.variance, scale, bias, epsilon=epsilon), found


@partial(jax.jit, static_argnums=0)
def _divide_by_root_mean_square(axes: tuple[int, ...], x: Array, scale: ArrayLike | None, epsilon: float) -> Array:
    wide = widen(x)
    y = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=axes, keepdims=True) + epsilon)
    return (y if scale is None else y * expand_leading(scale, x.ndim)).astype(x.dtype)


def _check_rank(x: ArrayLike, least: int, form: str) -> Array:
    x = to_floating(x)
    if x.ndim < least:
        raise ValueError(f"expected x of shape {form}, got {x.shape}")
    return x
