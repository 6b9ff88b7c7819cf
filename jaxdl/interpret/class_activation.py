"""Class activation maps: where in a layer the channels that raise a score are active."""

import jax
import jax.numpy as jnp

from jaxdl.interpret.intermediates import read, replace
from jaxdl.interpret.rules import guided_backpropagation
from jaxdl.interpret.scores import Scores, check_scores
from jaxdl.typing import Array, ArrayLike


def grad_cam_map(f: Scores, x: ArrayLike, layer: str) -> Array:
    """Compute the Grad-CAM of a layer, in its own resolution (Selvaraju et al., 2017).

        L = max(0, sum_k w_k A_k)        w_k = mean over positions of d f / d A_k

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.
        layer: the name of an intermediate ``A`` of ``f``, ``[B, h, w, C]``, see `names`.

    Returns:
        ``[B, h, w]``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` has no such intermediate, it has no positions, or ``f`` does not return one score per example.
    """
    f, x, restore = check_scores(f, x)
    A = read(f, layer)(x)[1][layer]
    if A.ndim < 3 or A.shape[0] != x.shape[0]:
        raise ValueError(f"expected a layer [B, ..., C] with positions, got {layer!r} of shape {A.shape}")
    slopes = jax.grad(lambda A: jnp.sum(replace(f, layer)(A, x)))(A)
    weights = jnp.mean(slopes, axis=tuple(range(1, A.ndim - 1)), keepdims=True)
    return restore(jnp.maximum(jnp.sum(weights * A, axis=-1), 0))


def grad_cam(f: Scores, x: ArrayLike, layer: str) -> Array:
    """Compute `grad_cam_map`, interpolated bilinearly to the positions of the input.

    Args:
        f: maps images ``[B, H, W, C]`` to scores ``[B]``.
        x: ``[B, H, W, C]``, or with any number of dimensions of positions.
        layer: the name of an intermediate ``[B, h, w, K]`` of ``f``.

    Returns:
        The shape of ``x``, equal in all channels.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: as in `grad_cam_map`, or the layer has not as many dimensions as ``x``.

    >>> from jax.ad_checkpoint import checkpoint_name
    >>> def f(x):
    ...     return jnp.mean(checkpoint_name(x[:, ::2, ::2], "half"), axis=(1, 2, 3))
    >>> grad_cam(f, jnp.ones((1, 4, 4, 1)), "half")[0, 0, :, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    coarse, x = grad_cam_map(f, x, layer), jnp.asarray(x)
    if coarse.ndim != x.ndim - 1:
        raise ValueError(f"expected a layer with {x.ndim} dimensions like x, got {layer!r} with {coarse.ndim + 1}")
    fine = jax.image.resize(coarse, x.shape[:-1], "bilinear")
    return jnp.broadcast_to(fine[..., None], x.shape)


def guided_grad_cam(f: Scores, x: ArrayLike, layer: str) -> Array:
    """Compute `grad_cam` times `guided_backpropagation` (Selvaraju et al., 2017).

    Args:
        f: maps images ``[B, H, W, C]`` to scores ``[B]``.
        x: ``[B, H, W, C]``.
        layer: the name of an intermediate ``[B, h, w, K]`` of ``f``.

    Returns:
        The shape of ``x``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: as in `grad_cam`, or ``f`` has no rectified unit.
    """
    return grad_cam(f, x, layer) * guided_backpropagation(f, x)
