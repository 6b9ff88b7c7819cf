"""The block that all transformers are made of (Vaswani et al., 2017), and running blocks one after the other.

Those that read (BERT, the vision transformer), the one that writes (GPT), and the two halves of `Transformer`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn

from jaxdl import tree
from jaxdl.models.scanning import scan_modules
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.attention.cache import Cache
from jaxdl.nn.attention.multi_head import MultiHeadAttention
from jaxdl.nn.initializers import xavier_uniform
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike


class Block(nn.Module):
    """Attention between positions, then a small network at each; a residual connection and a norm for both.

    With ``norm_first`` (the norm inside of the residual branch: ViT, GPT)::

        z = x + attention(norm1(x))
        y = z + dense2(activation(dense1(norm2(z))))

    and without (the norm on the sum: the paper, BERT)::

        z = norm1(x + attention(x))
        y = norm2(z + dense2(activation(dense1(z))))

    Given a ``memory``, which an encoder made of another sequence, a second attention looks at it between the two,
    ``memory_attention``; the norms are then counted on to ``norm3``.

    Args:
        num_heads: of attention.
        mlp_dim: how many units ``dense1`` has.
        causal: whether a position sees only those up to itself.
        norm_first: where the norms are.
        activation: of ``dense1``.
        dropout_rate: share that is dropped of what attention and ``dense2`` give.
        mlp_dropout_rate: share of the units of ``dense1`` that is dropped; None for ``dropout_rate``.
        attention_dropout_rate: share of the weights of attention that is dropped.
        epsilon: of the norms.
        kernel_init: of all kernels.
        output_init: of the kernels whose results are added to ``x``, if other.
        fused: query, key and value of self-attention as one layer.
        dtype: of the computation.

    >>> import jax
    >>> block = Block(num_heads=2, mlp_dim=32)
    >>> x = jax.numpy.zeros((1, 5, 8))
    >>> (y, seen), variables = jax.eval_shape(block.init_with_output, jax.random.key(0), x)
    >>> y.shape, seen["attention"].shape, sorted(variables["params"])
    ((1, 5, 8), (1, 2, 5, 5), ['attention', 'dense1', 'dense2', 'norm1', 'norm2'])
    """

    num_heads: int
    mlp_dim: int
    causal: bool = False
    norm_first: bool = True
    activation: str | Activation = "gelu"
    dropout_rate: float = 0.0
    mlp_dropout_rate: float | None = None
    attention_dropout_rate: float = 0.0
    epsilon: float = 1e-5
    kernel_init: Callable[..., Array] = xavier_uniform()
    output_init: Callable[..., Array] | None = None
    fused: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x: Array,
        train: bool = False,
        *,
        mask: ArrayLike | None = None,
        memory: Array | None = None,
        memory_mask: ArrayLike | None = None,
        cache: Cache | None = None,
    ) -> tuple[Array, dict[str, Any]]:
        """Return ``y`` for ``x``, both ``[B, T, D]``, and what was seen on the way.

        Args:
            x: ``[B, T, D]``.
            train: drop, with the random numbers of the collection ``"dropout"``.
            mask: Booleans that broadcast to ``[B, T, T]``, which positions see which.
            memory: ``[B, S, D2]``.
            memory_mask: Booleans that broadcast to ``[B, T, S]``.
            cache: the positions before these; there is no looking ahead with it.

        Returns:
            ``y``, and by name the weights: ``attention``, ``[B, heads, T, T]``, and with a memory ``memory_attention``,
            ``[B, heads, T, S]``; where there was a ``cache``, also this as it is after these positions.
        """
        seen: dict[str, Any] = {}
        width, output_init = x.shape[-1], self.output_init or self.kernel_init
        drop = partial(Dropout(self.dropout_rate), train=train)
        drop_units = drop if self.mlp_dropout_rate is None else partial(Dropout(self.mlp_dropout_rate), train=train)
        dense = partial(nn.Dense, dtype=self.dtype)
        attention = partial(
            MultiHeadAttention,
            self.num_heads,
            dropout_rate=self.attention_dropout_rate,
            kernel_init=self.kernel_init,
            output_init=self.output_init,
            dtype=self.dtype,
        )

        def attend(x: Array) -> Array:
            layer = attention(fused=self.fused, name="attention")
            y, *rest = layer(x, mask=mask, causal=self.causal, train=train, return_weights=True, cache=cache)
            seen.update(zip(("attention", "cache"), rest, strict=False))
            return y

        def attend_to_memory(x: Array) -> Array:
            layer = attention(name="memory_attention")
            y, seen["memory_attention"] = layer(x, memory, mask=memory_mask, train=train, return_weights=True)
            return y

        def compute(x: Array) -> Array:
            x = dense(self.mlp_dim, kernel_init=self.kernel_init, name="dense1")(x)
            x = drop_units(get_activation(self.activation)(x))
            return dense(width, kernel_init=output_init, name="dense2")(x)

        parts = [attend, compute] if memory is None else [attend, attend_to_memory, compute]
        for number, part in enumerate(parts, 1):
            norm = LayerNorm(epsilon=self.epsilon, name=f"norm{number}")
            x = x + drop(part(norm(x))) if self.norm_first else norm(x + drop(part(x)))
        return x, seen


def check_depth(depth: int) -> None:
    """Refuse a stack without a block.

    Raises:
        ValueError: the depth is below 1.
    """
    if depth < 1:
        raise ValueError(f"depth is how many blocks there are and must be at least 1; came {depth}")


def run_blocks(
    block: Callable[..., Block],
    name: str,
    num_layers: int,
    x: Array,
    train: bool = False,
    *,
    caches: Sequence[Cache] | None = None,
    scan: bool = False,
    **given: Any,
) -> tuple[Array, dict[str, Any]]:
    """Run blocks one after the other, or all but the first in a scan; to be called in a compact method.

    Args:
        block: makes a block of a ``name``.
        name: the blocks are ``NAME_block1``, ``NAME_block2`` ...
        num_layers: how many.
        x: ``[B, T, D]``.
        train: as for `Block`.
        caches: the positions before these, one a block.
        scan: compile the blocks from the second on once, see `jaxdl.models.scanning`.
        **given: to every block: ``mask``, ``memory``, ``memory_mask``.

    Returns:
        What the last block gives, and the features: ``NAME_block1``, ``NAME_block1_attention``,
        ``NAME_block1_memory_attention`` and so on, and with caches these as they are now, ``carry``.

    Raises:
        ValueError: there is no block, there are caches for a scan, or not one for each block.
    """
    check_depth(num_layers)
    if caches is not None and scan:
        raise ValueError(
            "blocks that are scanned take no caches: a model with scan_blocks=False writes with the variables that "
            "jaxdl.models.scanning.unstack_blocks gives"
        )
    if caches is not None and len(caches) != num_layers:
        raise ValueError(
            f"{num_layers} blocks need as many caches, as init_carry or begin makes them; came {len(caches)}"
        )
    steps: list[tuple[Array, dict[str, Any]]] = []
    for number in range(1, (1 if scan else num_layers) + 1):
        cache = None if caches is None else caches[number - 1]
        x, seen = block(name=f"{name}_block{number}")(x, train, cache=cache, **given)
        steps.append((x, seen))
    if len(steps) < num_layers:

        def step(block: Block, x: Array) -> tuple[Array, tuple[Array, dict[str, Any]]]:
            y, seen = block(x, train, **given)
            return y, (y, seen)

        x, stacked = scan_modules(block(name=f"{name}_blocks"), num_layers - 1, x, step)
        steps += [tree.take(stacked, i) for i in range(num_layers - 1)]
    out: dict[str, Any] = {}
    if caches is not None:
        out["carry"] = tuple(seen.pop("cache") for _, seen in steps)
    for number, (y, seen) in enumerate(steps, 1):
        out[f"{name}_block{number}"] = y
        out |= {f"{name}_block{number}_{part}": weights for part, weights in seen.items()}
    return x, out
