"""Attention by blocks of queries and keys with the softmax computed online: memory in proportion to the length.

Glossary of the dimensions, beside those of `jaxdl.nn.attention.dot_product`:

    G    queries that share a head of keys (grouped-query attention); 1 otherwise
    C    positions of a block

The scores of two blocks, ``[..., G, C, C]``, are the largest array. For query ``t`` the sums over the keys so far are
kept relative to the largest score ``m_t``; a larger one rescales them (Milakov and Gimelshein, 2018; Rabe and Staats,
2021). The backward pass computes the scores again from ``lse_t = ln sum_s exp(score_ts)`` (Dao et al.,
"FlashAttention", 2022). Blocks that the causal mask or the window hides altogether are skipped.
"""

from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.typing import Array, Key


class Plan(NamedTuple):
    """What is the same for all blocks: the factor of the scores, the static masks, dropout, and the size of a block."""

    scale: float
    causal: bool
    window: int | None
    dropout_rate: float
    block: int


class Operands(NamedTuple):
    """Arrays that decide which weights count.

    Attributes:
        mask: Booleans that broadcast to ``[..., G, T, S]``, or None.
        segments: integers that broadcast to ``[..., G, T]``, of queries and of keys, or None.
        key: random key of dropout, or None.
    """

    mask: Array | None
    segments: tuple[Array, Array] | None
    key: Key | None


Carry = tuple[Array, ...]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(plan: Plan, q: Array, k: Array, v: Array, operands: Operands) -> Array:
    """Compute attention of queries ``[..., G, T, D]`` over keys ``[..., S, D]`` with values ``[..., S, E]``.

    Returns:
        ``[..., G, T, E]`` in the dtype of ``v``; 0 for a query without keys.
    """
    return _forward(plan, q, k, v, operands)[0]


def _forward(plan: Plan, q: Array, k: Array, v: Array, operands: Operands) -> tuple[Array, Array]:
    """Compute attention, and ``lse`` ``[..., G, T]``, which is infinite for a query without keys."""
    tiles = _Tiles(plan, q, k, v, operands)
    lead = q.shape[:-2]

    def query_block(i: Array) -> tuple[Array, Array]:
        def key_block(j: Array, carry: Carry) -> Carry:
            largest, total, weighted = carry
            scores, visible = tiles.scores(i, j)
            scores = jnp.where(visible, scores, -jnp.inf)
            new = jnp.maximum(largest, jnp.max(scores, axis=-1))
            base = jnp.where(jnp.isfinite(new), new, 0)
            powers, decay = jnp.exp(scores - base[..., None]), jnp.exp(largest - base)
            values = tiles.of_keys(tiles.v, j)
            products = _einsum("...gts,...se->...gte", tiles.drop(powers, i, j).astype(v.dtype), values, tiles.wide)
            return new, decay * total + jnp.sum(powers, axis=-1), decay[..., None] * weighted + products

        rows = (*lead, tiles.queries)
        # Like q, not of its shape: inside of jax.shard_map they vary over the same devices.
        start = (jnp.full_like(q, -jnp.inf, tiles.wide, rows), jnp.zeros_like(q, tiles.wide, rows))
        start = (*start, jnp.zeros_like(q, tiles.wide, (*rows, v.shape[-1])))
        with tiles.name_steps():
            largest, total, weighted = jax.lax.fori_loop(*tiles.visible_blocks(i), key_block, start)
        y = weighted / jnp.where(total == 0, 1, total)[..., None]
        base = jnp.where(jnp.isfinite(largest), largest, 0)
        return y.astype(v.dtype), jnp.where(total == 0, jnp.inf, base + jnp.log(total))

    y, lse = jax.lax.map(query_block, jnp.arange(tiles.query_blocks))  # [blocks, ..., G, C, E], [blocks, ..., G, C]
    length = q.shape[-2]
    return _join(y, -2)[..., :length, :], _join(lse, -1)[..., :length]


def _forward_and_residuals(plan: Plan, q: Array, k: Array, v: Array, operands: Operands) -> tuple[Array, tuple]:
    y, lse = _forward(plan, q, k, v, operands)
    return y, (q, k, v, y, lse, operands)


def _backward(plan: Plan, residuals: tuple, dy: Array) -> tuple[Array, Array, Array, None]:
    """Compute the gradients, with ``p`` the weights and ``r`` the factors of dropout::

    dv_s = sum_t p_ts r_ts dy_t
    ds_ts = p_ts (r_ts dy_t v_s - dy_t y_t)
    dq_t = scale sum_s ds_ts k_s, dk_s = scale sum_t ds_ts q_t
    """
    q, k, v, y, lse, operands = residuals
    tiles = _Tiles(plan, q, k, v, operands)
    length = tiles.query_blocks * tiles.queries
    lse = _pad(lse, -1, length, jnp.inf)
    delta = jnp.sum(dy.astype(tiles.wide) * y.astype(tiles.wide), axis=-1)
    delta, dy = _pad(delta, -1, length), _pad(dy.astype(v.dtype), -2, length)

    def query_block(sums: Carry, i: Array) -> tuple[Carry, Array]:
        q_i, dy_i = tiles.of_queries(tiles.q, i), tiles.of_queries(dy, i)
        lse_i, delta_i = tiles.of_queries(lse, i, -1)[..., None], tiles.of_queries(delta, i, -1)[..., None]

        def key_block(j: Array, carry: Carry) -> Carry:
            dq_i, dk, dv = carry
            scores, visible = tiles.scores(i, j)
            weights = jnp.where(visible, jnp.exp(scores - lse_i), 0)
            dropped = tiles.drop(weights, i, j).astype(v.dtype)
            dv_j = _einsum("...gts,...gte->...se", dropped, dy_i, tiles.wide)
            slopes = tiles.drop(_einsum("...gte,...se->...gts", dy_i, tiles.of_keys(tiles.v, j), tiles.wide), i, j)
            slopes = (plan.scale * weights * (slopes - delta_i)).astype(k.dtype)
            dq_i = dq_i + _einsum("...gts,...sd->...gtd", slopes, tiles.of_keys(tiles.k, j), tiles.wide)
            dk_j = _einsum("...gts,...gtd->...sd", slopes, q_i, tiles.wide)
            return dq_i, tiles.add_to_keys(dk, dk_j, j), tiles.add_to_keys(dv, dv_j, j)

        start = (jnp.zeros_like(q_i, tiles.wide), *sums)
        with tiles.name_steps():
            dq_i, dk, dv = jax.lax.fori_loop(*tiles.visible_blocks(i), key_block, start)
        return (dk, dv), dq_i.astype(q.dtype)

    zeros = jnp.zeros_like(tiles.k, tiles.wide), jnp.zeros_like(tiles.v, tiles.wide)
    (dk, dv), dq = jax.lax.scan(query_block, zeros, jnp.arange(tiles.query_blocks))
    dq, keys = _join(dq, -2)[..., : q.shape[-2], :], k.shape[-2]
    return dq, dk[..., :keys, :].astype(k.dtype), dv[..., :keys, :].astype(v.dtype), None


attend.defvjp(_forward_and_residuals, _backward)


class _Tiles:
    """The blocks of queries and of keys, padded to whole ones, and their scores and masks."""

    def __init__(self, plan: Plan, q: Array, k: Array, v: Array, operands: Operands):
        self.plan, self.length = plan, k.shape[-2]
        self.queries, self.keys = (max(1, min(plan.block, x.shape[-2])) for x in (q, k))  # in a block
        sizes = (q.shape[-2], self.queries), (self.length, self.keys)
        self.query_blocks, self.key_blocks = (max(1, -(-length // size)) for length, size in sizes)
        self.wide = jnp.result_type(q, k, v, jnp.float32)
        queries, keys = self.query_blocks * self.queries, self.key_blocks * self.keys
        self.q, self.k, self.v = _pad(q, -2, queries), _pad(k, -2, keys), _pad(v, -2, keys)
        self.key, self.mask, self.segments = operands.key, operands.mask, operands.segments
        if self.mask is not None:
            for axis, size in ((-2, queries), (-1, keys)):
                self.mask = self.mask if self.mask.shape[axis] == 1 else _pad(self.mask, axis, size)
        if self.segments is not None:
            self.segments = _pad(self.segments[0], -1, queries), _pad(self.segments[1], -1, keys)

    def of_queries(self, x: Array, i: Array, axis: int = -2) -> Array:
        """Return the part of query block ``i``; a dimension of size 1 broadcasts."""
        return x if x.shape[axis] == 1 else jax.lax.dynamic_slice_in_dim(x, i * self.queries, self.queries, axis)

    def of_keys(self, x: Array, j: Array, axis: int = -2) -> Array:
        """Return the part of key block ``j``; a dimension of size 1 broadcasts."""
        return x if x.shape[axis] == 1 else jax.lax.dynamic_slice_in_dim(x, j * self.keys, self.keys, axis)

    def add_to_keys(self, x: Array, part: Array, j: Array) -> Array:
        """Add ``part`` to key block ``j`` of ``x`` ``[..., S, D]``."""
        return jax.lax.dynamic_update_slice_in_dim(x, self.of_keys(x, j) + part, j * self.keys, axis=-2)

    def visible_blocks(self, i: Any, numpy: Any = jnp) -> tuple[Array | int, Array | int]:
        """Return the range of the key blocks to which queries of block ``i`` attend; with static masks, ``T = S``."""
        first, end, window = 0, self.key_blocks, self.plan.window
        if self.plan.causal:
            end = numpy.minimum(end, i + 1)
        if window is not None:
            reach = -(-(window - 1) // self.keys)  # blocks
            first = numpy.maximum(0, i - reach)
            end = end if self.plan.causal else numpy.minimum(end, i + 1 + reach)
        return first, end

    def name_steps(self) -> AbstractContextManager[Any]:
        """Name the mean number of visible blocks: their loop is of no length that `count_operations` could see."""
        first, end = self.visible_blocks(np.arange(self.query_blocks), np)
        return jax.named_scope(f"steps={np.mean(end - first):g}")

    def scores(self, i: Array, j: Array) -> tuple[Array, Array]:
        """Compute the scores of two blocks ``[..., G, C, C]``, and the mask of the visible ones."""
        q, k = self.of_queries(self.q, i), self.of_keys(self.k, j)
        products = _einsum("...gtd,...sd->...gts", q, k, self.wide)
        t = i * self.queries + jnp.arange(self.queries)[:, None]
        s = j * self.keys + jnp.arange(self.keys)[None]
        visible = s < self.length
        if self.plan.causal:
            visible &= s <= t
        if self.plan.window is not None:
            visible &= jnp.abs(t - s) < self.plan.window
        visible = jnp.expand_dims(visible, tuple(range(products.ndim - 2)))
        if self.mask is not None:
            visible &= self.of_keys(self.of_queries(self.mask, i), j, -1)
        if self.segments is not None:
            t, s = self.of_queries(self.segments[0], i, -1), self.of_keys(self.segments[1], j, -1)
            visible &= t[..., :, None] == s[..., None, :]
        return self.plan.scale * products, visible

    def drop(self, x: Array, i: Array, j: Array) -> Array:
        """Apply the dropout of two blocks, the same in the forward and the backward pass."""
        if self.key is None:
            return x
        p = 1 - self.plan.dropout_rate
        key = jax.random.fold_in(jax.random.fold_in(self.key, i), j)
        return jnp.where(jax.random.bernoulli(key, p, x.shape), x / jnp.asarray(p, x.dtype), 0)


def _einsum(formula: str, a: Array, b: Array, dtype: jnp.dtype) -> Array:
    return jnp.einsum(formula, a, b, preferred_element_type=dtype)


def _pad(x: Array, axis: int, size: int, value: float = 0) -> Array:
    """Append ``value`` to a dimension, up to ``size``."""
    missing = size - x.shape[axis]
    widths = [(0, missing if i == axis % x.ndim else 0) for i in range(x.ndim)]
    return jnp.pad(x, widths, constant_values=value) if missing else x


def _join(blocks: Array, axis: int) -> Array:
    """Join blocks ``[blocks, ..., C, ...]`` along their dimension ``axis``."""
    moved = jnp.moveaxis(blocks, 0, axis - 1)
    shape = moved.shape
    axis = axis % moved.ndim
    return moved.reshape(*shape[: axis - 1], shape[axis - 1] * shape[axis], *shape[axis + 1 :])
