"""The loop of a cell over time, ``(parameters, carry, x, mask) -> (carry, y)`` with ``x`` ``[T, B, D]``.

The projections ``x_t W + b`` of all times are one product before the loop. The gradient is JAX's of that loop
(`scan_steps`), or the backward pass written for the cell (`scan_steps_custom_vjp`, see ``recurrent._gradients``).
`in_chunks` makes an outer loop over chunks of time, for rematerialization and for truncated backpropagation.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jaxdl.nn.recurrent._gradients import VJPRule, find_vjp_rule
from jaxdl.nn.recurrent.cells.base import Cell, Parameters
from jaxdl.typing import Array, ArrayLike, PyTree

UNROLLED_SIZE = 256
"""Hidden size from which an iteration of the forward loop does two steps. On a CPU, XLA runs the operations of an
iteration in parallel only if there are enough of them: measured for the LSTM, that gained a quarter at 256 units and
lost an eighth at 128.
"""

Loop = Callable[[Parameters, PyTree, Array, Array | None], tuple[PyTree, Array]]


def make_loop(
    cell: Cell, steps: int, *, reverse: bool, remat_chunks: int, tbptt_length: int | None, custom_vjp: bool
) -> Loop:
    """Return the loop of a cell over ``steps`` times; the options are those of ``scan``."""
    rule = find_vjp_rule(cell) if custom_vjp else None
    loop: Loop = partial(scan_steps_custom_vjp, cell, rule, reverse) if rule else partial(scan_steps, cell, reverse)
    if remat_chunks > 1:
        loop = in_chunks(jax.checkpoint(loop), -(-min(tbptt_length or steps, steps) // remat_chunks), reverse)
    if tbptt_length is not None and tbptt_length < steps:
        loop = in_chunks(loop, tbptt_length, reverse, between=jax.lax.stop_gradient)
    return loop


def scan_steps(
    cell: Cell, reverse: bool, parameters: Parameters, carry: PyTree, x: Array, mask: Array | None
) -> tuple[PyTree, Array]:
    """Scan the cell over ``[T, B, D]``, differentiated by JAX."""
    chex.assert_rank(x, 3)

    def step(carry, inputs):
        projected, mask_t = inputs
        new_carry, y = cell.step(parameters, carry, projected)
        return _where(mask_t, new_carry, carry), _where(mask_t, y, jnp.zeros_like(y))

    return jax.lax.scan(step, carry, (cell.project(parameters, x), mask), reverse=reverse)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def scan_steps_custom_vjp(
    cell: Cell, rule: VJPRule, reverse: bool, parameters: Parameters, carry: PyTree, x: Array, mask: Array | None
) -> tuple[PyTree, Array]:
    """Scan the cell over ``[T, B, D]``, differentiated by the cell's rule."""
    return _forward(cell, rule, reverse, parameters, carry, x, mask)[0]


def _forward(
    cell: Cell, rule: VJPRule, reverse: bool, parameters: Parameters, carry: PyTree, x: Array, mask: Array | None
) -> tuple[tuple[PyTree, Array], tuple[Any, ...]]:
    chex.assert_rank(x, 3)
    projected, weights = rule.prepare(cell, parameters, x)

    def step(carry, inputs):
        projected_t, mask_t = inputs
        new_carry, y, residuals = rule.forward(cell, weights, carry, projected_t)
        return _where(mask_t, new_carry, carry), (_where(mask_t, y, jnp.zeros_like(y)), residuals)

    unroll = 2 if cell.hidden_size >= UNROLLED_SIZE else 1
    carry, (y, residuals) = jax.lax.scan(step, carry, (projected, mask), reverse=reverse, unroll=unroll)
    return (carry, y), (parameters, x, mask, residuals)


def _backward(
    cell: Cell, rule: VJPRule, reverse: bool, saved: tuple[Any, ...], cotangents: tuple[PyTree, Array]
) -> tuple[Parameters, PyTree, Array, None]:
    (parameters, x, mask, residuals), (d_carry, d_y) = saved, cotangents
    factors = rule.factors(cell, residuals)
    U_T = parameters["recurrent_kernel"].T  # once: transposing in every step costs a CPU a sixth of the loop

    def step(d_carry, inputs):
        d_y_t, factors_t, mask_t = inputs
        d_carry_prev, delta = rule.backward(cell, U_T, d_carry, d_y_t, factors_t)
        return _where(mask_t, d_carry_prev, d_carry), _where(mask_t, delta, jax.tree.map(jnp.zeros_like, delta))

    d_carry, delta = jax.lax.scan(step, d_carry, (d_y, factors, mask), reverse=not reverse)
    d_parameters, d_x = rule.gradients(cell, parameters, x, factors, delta)
    return d_parameters, d_carry, d_x, None


scan_steps_custom_vjp.defvjp(_forward, _backward)


def in_chunks(
    loop: Loop, length: int, reverse: bool, between: Callable[[PyTree], PyTree] = lambda carry: carry
) -> Loop:
    """Return a loop over chunks of ``length`` steps, the last one padded; ``between`` maps the carry between chunks."""

    def chunked(parameters, carry, x, mask):
        steps = x.shape[0]
        if mask is None and steps % length:
            mask = jnp.ones(x.shape[:2], bool)
        chunks = jax.tree.map(partial(split_axis, length=length), (x, mask))
        carry, y = jax.lax.scan(
            lambda carry, chunk: loop(parameters, between(carry), *chunk), carry, chunks, reverse=reverse
        )
        return carry, y.reshape(y.shape[0] * y.shape[1], *y.shape[2:])[:steps]

    return chunked


def split_axis(x: ArrayLike, length: int, axis: int = 0) -> Array:
    """Split a dimension into ``[count, length]``, the last chunk padded with zeros.

    >>> split_axis(jnp.array([1, 2, 3]), 2).tolist()
    [[1, 2], [3, 0]]
    """
    x = jnp.asarray(x)
    count = -(-x.shape[axis] // length)
    widths = [(0, count * length - x.shape[axis] if dimension == axis else 0) for dimension in range(x.ndim)]
    return jnp.pad(x, widths).reshape(*x.shape[:axis], count, length, *x.shape[axis + 1 :])


def _where(mask: Array | None, new: PyTree, old: PyTree) -> PyTree:
    """Select by example: a mask ``[B]`` and leaves ``[B, H]``; without a mask, all of ``new``."""
    if mask is None:
        return new
    return jax.tree.map(lambda a, b: jnp.where(mask[:, None], a, b), new, old)
