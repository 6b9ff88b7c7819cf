"""Ring attention (Liu et al., 2023): positions sharded over devices, whose keys and values go around in a ring.

Glossary of the dimensions, beside those of `jaxdl.nn.attention.dot_product`:

    N    devices
    C    positions of a device, ``T / N``
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike


class _Plan(NamedTuple):
    """The static arguments."""

    axis_name: str
    causal: bool
    scale: float


def ring_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    axis_name: str,
    causal: bool = False,
    scale: float | None = None,
) -> Array:
    """Compute `dot_product_attention` over all positions, of which every device of a mapped axis has a part.

    Call it inside of ``jax.shard_map``. In ``N`` steps the keys and values of each device visit all others, while their
    part of the softmax is added, so that a device never holds more than two parts; the scores of two parts, ``[..., C,
    C]``, are the largest array. So does the backward pass, in which the gradients of keys and values travel with them.

    Args:
        q: queries of the positions of this device, ``[..., C, D]``.
        k: its keys, ``[..., C, D]``.
        v: its values, ``[..., C, E]``.
        axis_name: the mapped axis; its devices have consecutive parts.
        causal: mask the keys after each query's own position.
        scale: in the place of ``1 / sqrt(D)``.

    Returns:
        ``[..., C, E]``.

    Raises:
        ValueError: shapes do not match.

    >>> from jax.sharding import AxisType, PartitionSpec
    >>> mesh, spec = jax.make_mesh((1,), ("context",), axis_types=(AxisType.Auto,)), PartitionSpec("context")
    >>> ring = partial(ring_attention, axis_name="context", causal=True)
    >>> ring = jax.shard_map(ring, mesh=mesh, in_specs=(spec,) * 3, out_specs=spec)
    >>> v = jnp.array([[1.0], [3.0], [5.0]])
    >>> ring(jnp.zeros((3, 1)), v, v).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    q, k, v = jnp.asarray(q), jnp.asarray(k), jnp.asarray(v)
    if min(q.ndim, v.ndim) < 2 or q.shape != k.shape or k.shape[:-1] != v.shape[:-1]:
        shapes = ", ".join(str(x.shape) for x in (q, k, v))
        raise ValueError(f"expected q and k [..., C, D] and v [..., C, E] of equal shapes but for E, got {shapes}")
    plan = _Plan(axis_name, causal, float(q.shape[-1] ** -0.5 if scale is None else scale))
    dtype = jnp.result_type(q, k, v)
    return _attend(plan, *(x.astype(dtype) for x in (q, k, v)))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan: _Plan, q: Array, k: Array, v: Array) -> Array:
    return _forward(plan, q, k, v)[0]


def _forward(plan: _Plan, q: Array, k: Array, v: Array) -> tuple[Array, tuple]:
    """Compute attention, and for the backward pass ``lse_t = ln sum_s exp(score_ts)``."""

    def visit(sums: tuple[Array, ...] | None, visitors: tuple[Array, ...], source: Array) -> tuple:
        k, v = visitors
        scores = _scores(plan, q, k, source)
        largest = jnp.max(scores, axis=-1, keepdims=True)  # [..., C, 1]
        largest = largest if sums is None else jnp.maximum(largest, sums[0])
        base = jnp.where(jnp.isfinite(largest), largest, 0)
        powers = jnp.exp(scores - base)
        total = jnp.sum(powers, axis=-1, keepdims=True)
        weighted = jnp.einsum("...ts,...se->...te", powers.astype(v.dtype), v, preferred_element_type=scores.dtype)
        if sums is not None:
            decay = jnp.exp(sums[0] - base)
            total, weighted = total + decay * sums[1], weighted + decay * sums[2]
        return (largest, total, weighted), visitors

    (largest, total, weighted), _ = _around(plan, visit, (k, v))
    y = (weighted / total).astype(v.dtype)
    return y, (q, k, v, y, largest + jnp.log(total))


def _backward(plan: _Plan, residuals: tuple, dy: Array) -> tuple[Array, Array, Array]:
    """Compute the gradients, as `jaxdl.nn.attention._blockwise` does."""
    q, k, v, y, lse = residuals
    delta = jnp.sum(dy.astype(lse.dtype) * y.astype(lse.dtype), axis=-1, keepdims=True)  # [..., C, 1]
    einsum = partial(jnp.einsum, preferred_element_type=lse.dtype)

    def visit(dq: Array | None, visitors: tuple[Array, ...], source: Array) -> tuple:
        k, v, dk, dv = visitors
        weights = jnp.exp(_scores(plan, q, k, source) - lse)
        dv = dv + einsum("...ts,...te->...se", weights.astype(v.dtype), dy)
        slopes = einsum("...te,...se->...ts", dy, v)
        slopes = (plan.scale * weights * (slopes - delta)).astype(q.dtype)
        dk = dk + einsum("...ts,...td->...sd", slopes, q)
        part = einsum("...ts,...sd->...td", slopes, k)
        return part if dq is None else dq + part, (k, v, dk, dv)

    zeros = (jnp.zeros_like(x, lse.dtype) for x in (k, v))
    dq, (_, _, dk, dv) = _around(plan, visit, (k, v, *zeros))
    dk, dv = _pass_on(plan, (dk, dv))  # to where they came from
    return dq.astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype)


_attend.defvjp(_forward, _backward)


def _scores(plan: _Plan, q: Array, k: Array, source: Array) -> Array:
    """Compute the scores of the queries of this device and the keys of the device ``source``, ``[..., C, C]``."""
    dtype = jnp.result_type(q, jnp.float32)
    scores = plan.scale * jnp.einsum("...td,...sd->...ts", q, k, preferred_element_type=dtype)
    if not plan.causal:
        return scores
    length = q.shape[-2]
    t = jax.lax.axis_index(plan.axis_name) * length + jnp.arange(length)[:, None]
    s = source * length + jnp.arange(length)[None]
    return jnp.where(jnp.expand_dims(s <= t, tuple(range(scores.ndim - 2))), scores, -jnp.inf)


def _around(plan: _Plan, visit: Callable, visitors: tuple[Array, ...]) -> tuple:
    """Call ``visit(result, visitors, source)`` for the visitors from every device, those of this one first."""
    index, count = jax.lax.axis_index(plan.axis_name), jax.lax.axis_size(plan.axis_name)

    def step(carry: tuple, i: Array) -> tuple[tuple, None]:
        result, visitors = carry
        return visit(result, _pass_on(plan, visitors), (index - i) % count), None

    first = visit(None, visitors, index)
    return jax.lax.scan(step, first, jnp.arange(1, count))[0]


def _pass_on(plan: _Plan, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """Send arrays to the next device, and receive those of the one before."""
    count = jax.lax.axis_size(plan.axis_name)
    ring = [(i, (i + 1) % count) for i in range(count)]
    return tuple(jax.lax.ppermute(x, plan.axis_name, ring) for x in arrays)
