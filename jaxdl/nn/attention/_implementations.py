"""The implementations of attention that never make an array of ``T x S``, and the choice among them.

All are functions of a `Call`. ``G`` is the number of queries' heads for each head of keys.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading, vary_alike
from jaxdl.checks import check_one_of
from jaxdl.nn.attention import _blockwise
from jaxdl.typing import Array, Key

BLOCK = 256
"""Queries and keys of a block; a larger one needs more memory, a smaller one more steps."""
HALF = (jnp.bfloat16, jnp.float16)


@dataclass(frozen=True)
class Call:
    """The arguments beside ``q`` ``[..., T, D]``, ``k`` ``[..., S, D]`` and ``v`` ``[..., S, E]`` of one dtype.

    Attributes:
        mask: Booleans of the rank of ``q`` that broadcast to ``[..., T, S]``, or None.
        segment_ids: integers that broadcast to ``[..., T]``, or None.
        key: random key, with a ``dropout_rate``, or None.
        causal: see `jaxdl.nn.attention.dot_product_attention`.
        window: likewise.
        scale: likewise.
        dropout_rate: likewise.
        groups: ``G``.
    """

    mask: Array | None
    segment_ids: Array | None
    key: Key | None
    causal: bool
    window: int | None
    scale: float
    dropout_rate: float
    groups: int


# The numbers are part of a program's structure, the arrays are its inputs.
jax.tree_util.register_dataclass(
    Call, ["mask", "segment_ids", "key"], ["causal", "window", "scale", "dropout_rate", "groups"]
)


def run(q: Array, k: Array, v: Array, call: Call, implementation: str | None) -> Array:
    """Compute attention by an implementation, or by that of the platform for which the program is lowered.

    Raises:
        ValueError: the implementation is unknown, or does not support the arguments.
    """
    check_one_of("implementation", implementation, (None, "plain", *IMPLEMENTATIONS))
    if implementation is not None:
        for problem, found in PROBLEMS[implementation](q, k, v, call).items():
            if found:
                raise ValueError(f"implementation={implementation!r} expected {problem}; leave it out")
        return IMPLEMENTATIONS[implementation](q, k, v, call)
    platforms = {
        platform: IMPLEMENTATIONS[name]
        for platform, name in PLATFORMS.items()
        if not any(PROBLEMS[name](q, k, v, call).values()) and (name != "flash" or _is_manual())
    }
    if not platforms:
        return blockwise(q, k, v, call)
    return jax.lax.platform_dependent(q, k, v, call, default=blockwise, **platforms)


def blockwise(q: Array, k: Array, v: Array, call: Call, *, block: int = BLOCK) -> Array:
    """Compute attention by `_blockwise`."""
    split = partial(_split_heads, groups=call.groups)
    mask, segments = call.mask, None
    if mask is not None:
        mask = split(mask, -3)
    if call.segment_ids is not None:
        ids = split(expand_leading(call.segment_ids, q.ndim - 1), -2)
        segments = ids, ids
    plan = _blockwise.Plan(call.scale, call.causal, call.window, call.dropout_rate, block)
    operands = _blockwise.Operands(mask, segments, call.key)
    y = cast(Array, _blockwise.attend(plan, *vary_alike((split(q, -3), k, v, operands))))
    return y.reshape(*q.shape[:-1], v.shape[-1])


def cudnn(q: Array, k: Array, v: Array, call: Call) -> Array:
    """Compute attention by NVIDIA's cuDNN."""
    lead = q.shape[:-3]

    def positions_first(x: Array) -> Array:
        x = x if x.ndim > 2 else x[None]
        return jnp.swapaxes(x.reshape(-1, *x.shape[-3:]), 1, 2)  # [B, T, H, D]

    window = None if call.window is None else (call.window - 1, 0)
    y = jax.nn.dot_product_attention(
        *map(positions_first, (q, k, v)),
        scale=call.scale,
        is_causal=call.causal,
        local_window_size=window,
        implementation="cudnn",
    )
    y = jnp.swapaxes(y, 1, 2)
    return y[0, 0] if q.ndim == 2 else y.reshape(*lead, *y.shape[1:])


def flash(q: Array, k: Array, v: Array, call: Call) -> Array:
    """Compute attention by the flash kernel for TPUs."""
    from jax.experimental.pallas.ops.tpu import flash_attention as tpu  # half a second that others need not wait

    k, v = repeat_heads(k, call.groups), repeat_heads(v, call.groups)
    ids = call.segment_ids
    if ids is not None:
        ids = jnp.broadcast_to(expand_leading(ids, q.ndim - 1), q.shape[:-1])
        ids = ids.reshape(-1, *q.shape[-3:-1])[:, 0] if q.ndim > 2 else ids[None]  # [B, T], the same for all heads
        ids = tpu.SegmentIds(ids, ids)
    heads = q.shape[-3] if q.ndim > 2 else 1
    q4, k4, v4 = (x.reshape(-1, heads, *x.shape[-2:]) for x in (q, k, v))  # [B, H, T, D]
    block = next(size for size in (512, 256, 128) if q.shape[-2] % size == k.shape[-2] % size == 0)
    names = ["block_q", "block_k_major", "block_k", "block_q_major_dkv", "block_k_major_dkv", "block_k_dkv"]
    names += ["block_q_dkv", "block_k_major_dq", "block_k_dq", "block_q_dq"]
    sizes = tpu.BlockSizes(block_b=1, **dict.fromkeys(names, block))
    options = {"causal": call.causal, "sm_scale": call.scale, "block_sizes": sizes}
    return tpu.flash_attention(q4, k4, v4, segment_ids=ids, **options).reshape(*q.shape[:-1], v.shape[-1])


def _flash_problems(q: Array, k: Array, v: Array, call: Call) -> dict[str, bool]:
    """Return what the kernel for TPUs expects, and whether it is missing."""
    ids = call.segment_ids
    given = {"mask": call.mask, "window": call.window, "key": call.key}
    used = [name for name, value in given.items() if value is not None]
    return {
        f"none of its options, got {used}": bool(used),
        f"T and S multiples of 128, got {q.shape[-2]} and {k.shape[-2]}": bool(q.shape[-2] % 128 or k.shape[-2] % 128),
        f"D = E, got {q.shape[-1]} and {v.shape[-1]}": q.shape[-1] != v.shape[-1],
        "segment_ids that are the same for all heads": ids is not None and ids.ndim > 1 and ids.shape[-2] != 1,
    }


def _is_manual() -> bool:
    """Whether the program is that of a single device, inside of ``jax.shard_map``; no kernel is partitioned by XLA."""
    kinds = jax.sharding.get_abstract_mesh().axis_types
    return bool(kinds) and all(kind == jax.sharding.AxisType.Manual for kind in kinds)


def _cudnn_problems(q: Array, k: Array, v: Array, call: Call) -> dict[str, bool]:
    """Return what cuDNN expects, and whether it is missing."""
    del k
    D, E = q.shape[-1], v.shape[-1]
    given = {
        "mask": call.mask,
        "segment_ids": call.segment_ids,
        "key": call.key,
        "window without causal": call.window if not call.causal else None,
    }
    used = [name for name, value in given.items() if value is not None]
    return {
        f"bfloat16 or float16, got {q.dtype}": q.dtype not in HALF,
        f"none of its options, got {used}": bool(used),
        f"D = E, a multiple of 8 up to 128, got {D} and {E}": D != E or D % 8 != 0 or D > 128,
        "an NVIDIA GPU in this process, got none": not _has_nvidia(),
    }


@cache
def _has_nvidia() -> bool:
    """Whether the process has a GPU whose cuDNN can be asked for its version, as JAX does while tracing."""
    try:
        return any("nvidia" in device.device_kind.lower() for device in jax.devices("cuda"))
    except RuntimeError:
        return False


def repeat_heads(x: Array, groups: int) -> Array:
    """Repeat every head of ``[..., K, S, D]`` for the queries that share it."""
    return x if groups == 1 else jnp.repeat(x, groups, axis=-3)


def _split_heads(x: Array, axis: int, groups: int) -> Array:
    """Split the dimension of heads into that of keys and ``G``; without groups insert ``G = 1`` after it.

    Args:
        x: ``[..., H or 1, T, D]`` or ``[..., H or 1, T]``; without heads ``[T, D]`` or ``[T]``.
        axis: of the heads.
        groups: ``G``.
    """
    if groups == 1 or x.shape[axis] == 1:
        return jnp.expand_dims(x, axis)
    axis %= x.ndim
    return x.reshape(*x.shape[:axis], x.shape[axis] // groups, groups, *x.shape[axis + 1 :])


IMPLEMENTATIONS: dict[str, Any] = {"blockwise": blockwise, "cudnn": cudnn, "flash": flash}
PROBLEMS: dict[str, Any] = {"blockwise": lambda *_: {}, "cudnn": _cudnn_problems, "flash": _flash_problems}
PLATFORMS = {"cuda": "cudnn", "tpu": "flash"}
