"""The cross-entropy of linear logits, ``h W + b``, which are never all in memory."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading, to_floating, vary_alike
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.losses._shared import pick, prepare_labels, reduce, zero_masked
from jaxdl.typing import Array, ArrayLike

SMALL = 2**22
"""The number of logits, 16 MiB in float32, up to which they are computed at once by default."""


class _Plan(NamedTuple):
    """The positions of a chunk, and the share of the uniform distribution in the labels."""

    size: int
    smoothing: float


def linear_cross_entropy(
    hidden: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    chunks: int | None = None,
) -> Array:
    """Return ``cross_entropy(hidden @ kernel + bias, labels)`` without an array of all logits.

    For a language model the logits ``[B, T, V]`` in float32, their exponentials and their gradient are the largest
    arrays. Here they are computed for one chunk of the positions ``T`` at a time, and again in the backward pass, which
    keeps the logarithm of the sum of exponentials alone.

    The product is computed in the dtype of the hidden vectors and accumulated in at least float32, and so is the
    gradient of the kernel. There is no forward-mode derivative and no second one.

    Args:
        hidden: ``h``, ``[..., T, D]``.
        kernel: ``W``, ``[D, V]``; for an embedding ``[V, D]`` that is also the output matrix, its transpose.
        labels: class indices ``[..., T]``. An unmasked one outside of ``0 .. V - 1`` is an error, and gives nan where
            it is traced.
        bias: ``b``, ``[V]``.
        mask: see ``cross_entropy``.
        label_smoothing: see ``cross_entropy``.
        reduction: see ``cross_entropy``.
        chunks: number of parts of ``T``; None for 8, or 1 up to `SMALL` logits.

    Raises:
        ValueError: the shapes do not match, a label is no class, there is no chunk, or the smoothing or the reduction
            is invalid.

    >>> h, W = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.eye(2)
    >>> float(linear_cross_entropy(h, W, jnp.array([0, 1])))
    0.22009...
    """
    h, W = to_floating(hidden), jnp.asarray(kernel)
    if h.ndim < 2 or W.ndim != 2 or h.shape[-1] != W.shape[0]:
        raise ValueError(f"expected hidden [..., T, D] and kernel [D, V], got {h.shape} and {W.shape}")
    if chunks is None:
        chunks = 1 if h.size // h.shape[-1] * W.shape[1] <= SMALL else 8
    check_positive_integer("chunks", chunks)
    check_in_range("label_smoothing", label_smoothing, 0, 1)
    y, weights = prepare_labels("logits", (*h.shape[:-1], W.shape[1]), labels, mask)
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(f"expected integer labels, got {y.dtype}; use cross_entropy for probabilities")
    b = None if bias is None else jnp.asarray(bias)
    if b is not None and b.shape != W.shape[1:]:
        raise ValueError(f"expected a bias of shape {W.shape[1:]}, got {b.shape}")
    size = max(1, -(-h.shape[-2] // chunks))
    operands = vary_alike((zero_masked(h, weights), W, b, y))
    return reduce(_losses(_Plan(size, float(label_smoothing)), *operands), weights, reduction)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _losses(plan: _Plan, h: Array, W: Array, b: Array | None, y: Array) -> Array:
    """Compute the losses ``[..., T]``, at least float32."""
    return _forward(plan, h, W, b, y)[0]


def _forward(plan: _Plan, h: Array, W: Array, b: Array | None, y: Array) -> tuple[Array, tuple]:
    chunks = _Chunks(plan, h, W, b)
    labels = chunks.pad(y)

    def chunk(i: Array) -> tuple[Array, Array]:
        z = chunks.logits(i)
        lse = jax.nn.logsumexp(z, axis=-1)
        loss = lse - pick(z, chunks.part(labels, i))
        if plan.smoothing:
            loss = (1 - plan.smoothing) * loss + plan.smoothing * (lse - jnp.mean(z, axis=-1))
        return loss, lse

    loss, lse = (chunks.join(parts) for parts in jax.lax.map(chunk, jnp.arange(chunks.count)))
    return loss, (h, W, b, y, lse)


def _backward(plan: _Plan, residuals: tuple, g: Array) -> tuple[Array, Array, Array | None, None]:
    """Compute ``dz = g (softmax(z) - y)`` and the gradients ``dz W^T``, ``h^T dz`` and the sum of ``dz``."""
    h, W, b, y, lse = residuals
    chunks = _Chunks(plan, h, W, b)
    classes, lead = W.shape[1], tuple(range(h.ndim - 1))
    labels, lse, g = (chunks.pad(x) for x in (y, lse, g))

    def chunk(sums: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], Array]:
        dW, db = sums
        label, lse_i, g_i = (chunks.part(x, i)[..., None] for x in (labels, lse, g))
        one_hot = jax.lax.broadcasted_iota(label.dtype, (*label.shape[:-1], classes), label.ndim - 1) == label
        y_i = (1 - plan.smoothing) * one_hot + plan.smoothing / classes
        dz = g_i * (jnp.exp(chunks.logits(i) - lse_i) - y_i)
        narrow = dz.astype(h.dtype)
        dW_i = jnp.tensordot(chunks.part(chunks.h, i, -2), narrow, (lead, lead), preferred_element_type=dW.dtype)
        return (dW + dW_i, db + jnp.sum(dz, lead)), jnp.matmul(narrow, chunks.W.T)

    # Like W, not of its shape: inside of jax.shard_map they vary over the same devices.
    zeros = jnp.zeros_like(W, chunks.wide), jnp.zeros_like(W[0], chunks.wide)
    (dW, db), dh = jax.lax.scan(chunk, zeros, jnp.arange(chunks.count))
    return chunks.join(dh, -2), dW.astype(W.dtype), None if b is None else db.astype(b.dtype), None


_losses.defvjp(_forward, _backward)


class _Chunks:
    """Parts of the hidden vectors ``[..., T, D]`` along ``T``, and their logits."""

    def __init__(self, plan: _Plan, h: Array, W: Array, b: Array | None):
        self.size, self.length = plan.size, h.shape[-2]
        self.count = -(-self.length // self.size)
        self.wide = jnp.promote_types(h.dtype, jnp.float32)
        self.h, self.W, self.b = self.pad(h, -2), W.astype(h.dtype), b

    def logits(self, i: Array) -> Array:
        """Compute the logits of chunk ``i``, ``[..., C, V]``, at least float32."""
        z = jnp.matmul(self.part(self.h, i, -2), self.W, preferred_element_type=self.wide)
        return z if self.b is None else z + expand_leading(self.b.astype(self.wide), z.ndim)

    def pad(self, x: Array, axis: int = -1) -> Array:
        """Append zeros to ``T``, up to whole chunks."""
        widths = [(0, 0)] * x.ndim
        widths[axis] = 0, self.count * self.size - self.length
        return jnp.pad(x, widths)

    def part(self, x: Array, i: Array, axis: int = -1) -> Array:
        """Return chunk ``i``."""
        return jax.lax.dynamic_slice_in_dim(x, i * self.size, self.size, axis)

    def join(self, parts: Array, axis: int = -1) -> Array:
        """Join ``[count, ..., C, ...]`` along ``axis``, without what was appended."""
        axis += parts.ndim - 1
        joined = jnp.moveaxis(parts, 0, axis)
        shape = (*joined.shape[:axis], self.count * self.size, *joined.shape[axis + 2 :])
        return jax.lax.slice_in_dim(joined.reshape(shape), 0, self.length, axis=axis)
