"""The block of all transformers (Vaswani et al., 2017), and stacks of blocks.

It makes encoders (BERT, the vision transformer), a decoder (GPT), and both halves of `Transformer`.

Dimensions: ``B`` batch, ``T`` length, ``S`` length of the memory, ``D`` width of the model.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flax import linen
from jax.ad_checkpoint import checkpoint_name

from jaxdl import tree
from jaxdl.checks import check_positive_integer, renamed_fields
from jaxdl.models.layers import collect
from jaxdl.models.scanning import Remat, rematerialize, scan_modules
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.attention.cache import Cache
from jaxdl.nn.attention.multi_head import MultiHeadAttention
from jaxdl.nn.initializers import xavier_uniform
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike

RENAMED_FIELDS = {
    "heads": "num_heads",
    "mlp_features": "mlp_dim",
    "dropout": "dropout_rate",
    "attention_dropout": "attention_dropout_rate",
}
"""The old names of the fields of a block, with the new ones."""


@renamed_fields(mlp_dropout="mlp_dropout_rate", **RENAMED_FIELDS)
class Block(linen.Module):
    """Attention between positions, then an MLP at each; a residual connection and a norm for both.

    With ``norm_first`` (pre-norm, the norm inside of the residual branch: ViT, GPT)::

        z = x + attention(norm1(x))
        y = z + dense2(activation(dense1(norm2(z))))

    and without (post-norm, the norm on the sum: the paper, BERT)::

        z = norm1(x + attention(x))
        y = norm2(z + dense2(activation(dense1(z))))

    With a ``memory``, the output of an encoder over another sequence, ``memory_attention`` to it comes between the two;
    the norms are then ``norm1`` to ``norm3``.

    Args:
        num_heads: of attention.
        mlp_dim: hidden size of the MLP, the width of ``dense1``.
        causal: whether a position attends only to those up to itself.
        norm_first: the place of the norms.
        activation: of ``dense1``.
        dropout_rate: of the outputs of attention and ``dense2``.
        mlp_dropout_rate: of the units of ``dense1``; None for ``dropout_rate``.
        attention_dropout_rate: of the weights of attention.
        epsilon: of the norms.
        kernel_init: of all kernels.
        output_init: of the kernels whose results are added to ``x``; None for ``kernel_init``.
        fused: query, key and value of self-attention as one layer.
        dtype: of the computation.

    >>> import jax
    >>> block = Block(num_heads=2, mlp_dim=32)
    >>> x = jax.numpy.zeros((1, 5, 8))
    >>> init = partial(block.init_with_output, return_weights=True)
    >>> (y, out), variables = jax.eval_shape(init, jax.random.key(0), x)
    >>> y.shape, out["attention"].shape, sorted(variables["params"])
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

    @linen.compact
    def __call__(
        self,
        x: Array,
        train: bool = False,
        *,
        mask: ArrayLike | None = None,
        memory: Array | None = None,
        memory_mask: ArrayLike | None = None,
        cache: Cache | None = None,
        return_weights: bool = False,
    ) -> tuple[Array, dict[str, Any]]:
        """Compute ``y`` for ``x``, both ``[B, T, D]``.

        Args:
            x: ``[B, T, D]``.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            mask: Booleans that broadcast to ``[B, T, T]``, True where a position attends to another.
            memory: ``[B, S, D2]``.
            memory_mask: Booleans that broadcast to ``[B, T, S]``.
            cache: the earlier positions; attention is then causal.
            return_weights: return the weights of attention; without, none of ``T x T`` is made for long sequences.

        Returns:
            ``y``, and the intermediates: with ``return_weights`` the weights ``attention`` ``[B, H, T, T]`` of ``H``
            heads and with a memory ``memory_attention`` ``[B, H, T, S]``, and with a cache the next ``cache``.
        """
        out: dict[str, Any] = {}
        width, output_init = x.shape[-1], self.output_init or self.kernel_init
        drop = partial(Dropout(self.dropout_rate), train=train)
        drop_units = drop if self.mlp_dropout_rate is None else partial(Dropout(self.mlp_dropout_rate), train=train)
        dense = partial(linen.Dense, dtype=self.dtype)
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
            options = {"mask": mask, "causal": self.causal, "train": train}
            y, intermediates = attend_to_self(layer, x, cache=cache, return_weights=return_weights, **options)
            out.update(intermediates)
            return y

        def attend_to_memory(x: Array) -> Array:
            layer = attention(name="memory_attention")
            y = layer(x, memory, mask=memory_mask, train=train, return_weights=return_weights)
            if return_weights:
                y, out["memory_attention"] = y
            return y

        def mlp(x: Array) -> Array:
            x = checkpoint_name(dense(self.mlp_dim, kernel_init=self.kernel_init, name="dense1")(x), "mlp_hidden")
            x = drop_units(get_activation(self.activation)(x))
            return dense(width, kernel_init=output_init, name="dense2")(x)

        parts = [attend, mlp] if memory is None else [attend, attend_to_memory, mlp]
        for number, part in enumerate(parts, 1):
            norm = LayerNorm(epsilon=self.epsilon, name=f"norm{number}")
            x = x + drop(part(norm(x))) if self.norm_first else norm(x + drop(part(x)))
        return x, out


def attend_to_self(
    layer: MultiHeadAttention, x: Array, *, cache: Cache | None, return_weights: bool, **options: Any
) -> tuple[Array, dict[str, Any]]:
    """Apply self-attention; return its output, tagged ``attention_output``, and a block's intermediates of it."""
    result = layer(x, cache=cache, return_weights=return_weights, **options)
    names = [name for name, wanted in (("attention", return_weights), ("cache", cache is not None)) if wanted]
    y, *rest = result if names else (result,)
    return checkpoint_name(y, "attention_output"), dict(zip(names, rest, strict=True))


def check_depth(num_layers: int) -> None:
    """Check that a stack has at least one block.

    Raises:
        ValueError: ``num_layers`` is below 1.
    """
    check_positive_integer("num_layers", num_layers)


def run_blocks(
    block: Callable[..., linen.Module],
    name: str,
    num_layers: int,
    x: Array,
    train: bool = False,
    *,
    caches: Sequence[Cache] | None = None,
    scan: bool = False,
    remat: Remat = "none",
    **options: Any,
) -> tuple[Array, dict[str, Any]]:
    """Run a stack of blocks; call it within a compact method.

    Args:
        block: makes a block with a given ``name``.
        name: the blocks are ``NAME_block1``, ``NAME_block2`` ...
        num_layers: the number of blocks.
        x: ``[B, T, D]``.
        train: as for `Block`.
        caches: the earlier positions, one cache a block.
        scan: compile the blocks from the second on once, see `jaxdl.models.scanning`.
        remat: see `jaxdl.models.scanning.rematerialize`; a block tags ``attention_output``, the result of the layer
            ``attention``, and ``mlp_hidden``, that of ``dense1``.
        **options: for every block: ``mask``, ``memory``, ``memory_mask``, ``return_weights``.

    Returns:
        The output of the last block, and the intermediates: ``NAME_block1`` and so on, with ``return_weights`` also
        ``NAME_block1_attention`` and ``NAME_block1_memory_attention``, and with caches the next ones, ``carry``.

    Raises:
        ValueError: there is no block, there are caches for a scan, or not one for each block.
    """
    check_depth(num_layers)
    if caches is not None and scan:
        raise ValueError(
            "expected no caches with scan_blocks=True, got them; generate with scan_blocks=False and the variables of "
            "jaxdl.models.scanning.unstack_blocks"
        )
    if caches is not None and len(caches) != num_layers:
        raise ValueError(f"expected {num_layers} caches, one a block, got {len(caches)}; make them with init_carry")
    out: dict[str, Any] = {}
    results: list[tuple[Array, dict[str, Any]]] = []

    def step(block: Any, x: Array, cache: Cache | None = None) -> tuple[Array, dict[str, Any]]:
        return block(x, train, cache=cache, **options)

    apply = rematerialize(step, remat)
    for number in range(1, (1 if scan else num_layers) + 1):
        cache = None if caches is None else caches[number - 1]
        x, intermediates = apply(block(name=f"{name}_block{number}"), x, cache)
        x = collect(out, f"{name}_block{number}", x)
        results.append((x, intermediates))
    if len(results) < num_layers:

        def scanned_step(block: Any, x: Array) -> tuple[Array, tuple[Array, dict[str, Any]]]:
            y, intermediates = step(block, x)
            return y, (y, intermediates)

        blocks = block(name=f"{name}_blocks")
        x, stacked = scan_modules(blocks, num_layers - 1, x, scanned_step, remat=remat)
        results += [tree.take(stacked, i) for i in range(num_layers - 1)]
    if caches is not None:
        out["carry"] = tuple(intermediates.pop("cache") for _, intermediates in results)
    for number, (y, intermediates) in enumerate(results, 1):
        out[f"{name}_block{number}"] = y
        out |= {f"{name}_block{number}_{part}": value for part, value in intermediates.items()}
    return x, out
