"""Llama (Touvron et al., 2023): a decoder with RMS norms, rotary positions, gated MLPs and shared keys and values.

Dimensions: ``B`` batch, ``T`` length, ``H`` heads of queries, ``D`` width, ``V`` vocabulary.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen
from jax.ad_checkpoint import checkpoint_name

from jaxdl.losses import linear_cross_entropy
from jaxdl.models.layers import Embed, check_tokens, clear_padding, collect, nan_if_additive, token_mask
from jaxdl.models.registry import register
from jaxdl.models.scanning import Remat
from jaxdl.models.transformers.block import attend_to_self, check_depth, run_blocks
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.attention.cache import Cache, init_cache
from jaxdl.nn.attention.masking import padding_mask
from jaxdl.nn.attention.multi_head import MultiHeadAttention, split_heads
from jaxdl.nn.initializers import normal
from jaxdl.nn.normalization import RMSNorm
from jaxdl.typing import Array, ArrayLike


class LlamaCarry(NamedTuple):
    """The carry of a Llama.

    Attributes:
        caches: of the tokens so far, one a block.
        valid: ``[B, S]`` for ``S`` slots, False for padding.
    """

    caches: tuple[Cache, ...]
    valid: Array


class LlamaBlock(linen.Module):
    """Attention between positions, then a gated MLP at each (SwiGLU, Shazeer, 2020), with RMS norms first::

        z = x + attention(norm1(x))
        y = z + dense2(activation(gate(norm2(z))) dense1(norm2(z)))

    Args:
        num_heads: see `MultiHeadAttention`.
        mlp_dim: width of ``gate`` and ``dense1``.
        num_kv_heads: see `MultiHeadAttention`.
        head_dim: width of a head; None for ``D / num_heads``.
        rope_base: see `MultiHeadAttention`.
        attention_bias: whether the layers of attention have biases.
        mlp_bias: whether those of the MLP have.
        attention_dropout_rate: of the weights of attention.
        epsilon: of the norms.
        activation: of the gate.
        kernel_init: of all kernels.
        output_init: of the kernels whose results are added to ``x``; None for ``kernel_init``.
        dtype: of the computation.
    """

    num_heads: int
    mlp_dim: int
    num_kv_heads: int | None = None
    head_dim: int | None = None
    rope_base: float = 10_000.0
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout_rate: float = 0.0
    epsilon: float = 1e-5
    activation: str | Activation = "silu"
    kernel_init: Any = normal(0.02)
    output_init: Any = None
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        x: Array,
        train: bool = False,
        *,
        mask: ArrayLike | None = None,
        cache: Cache | None = None,
        return_weights: bool = False,
    ) -> tuple[Array, dict[str, Any]]:
        """Compute ``y`` for ``x``, both ``[B, T, D]``; arguments and intermediates are those of `Block`."""
        output_init = self.output_init or self.kernel_init
        norm = partial(RMSNorm, epsilon=self.epsilon)
        dense = partial(linen.Dense, use_bias=self.mlp_bias, dtype=self.dtype, kernel_init=self.kernel_init)
        attention = MultiHeadAttention(
            self.num_heads,
            num_kv_heads=self.num_kv_heads,
            qkv_features=_width_of(self),
            rope_base=self.rope_base,
            use_bias=self.attention_bias,
            dropout_rate=self.attention_dropout_rate,
            kernel_init=self.kernel_init,
            output_init=output_init,
            dtype=self.dtype,
            name="attention",
        )
        options = {"mask": mask, "causal": True, "train": train}
        normed = norm(name="norm1")(x)
        y, out = attend_to_self(attention, normed, cache=cache, return_weights=return_weights, **options)
        z = x + y
        inner = norm(name="norm2")(z)
        gate = get_activation(self.activation)(dense(self.mlp_dim, name="gate")(inner))
        units = gate * checkpoint_name(dense(self.mlp_dim, name="dense1")(inner), "mlp_hidden")  # [B, T, mlp_dim]
        return z + dense(x.shape[-1], kernel_init=output_init, name="dense2")(units), out


class Llama(linen.Module):
    """A model of the probability of a text, token by token, with rotary positions in its attention::

        z_0 = E[x]                           E  embedding/embedding [V, D]
        z_l = block_l(z_(l-1))               norms first, causal
        p(x_(t+1) | x_1 .. x_t) = softmax(norm(z_L) W)        W  output/kernel [D, V], or E^T if tied

    The intermediates are those of `GPT`: ``embedded`` (``z_0``), ``decoder_block1`` (``z_1``),
    ``decoder_block1_attention`` (its weights ``[B, H, T, T]``) and so on, ``encoded`` (``norm(z_L)``), and with a carry
    the next ``carry``. So is the carry, which also keeps what is padding: one pass reads prompts of different lengths,
    padded at the left, so that each ends where generation begins::

        carry = model.init_carry((B,))
        tokens, mask = prompts[:, :-1], valid[:, :-1]
        _, intermediates = model.apply(variables, tokens, carry, mask=mask, return_intermediates=True)
        step_fn = models.step_function(model, variables)
        decode.greedy(step_fn, intermediates["carry"], prompts[:, -1], max_length=20)

    Args:
        vocab_size: ``V``.
        context_length: the largest number of tokens.
        d_model: ``D``.
        num_layers: ``L``.
        num_heads: ``H``.
        mlp_dim: see `LlamaBlock`.
        num_kv_heads: see `MultiHeadAttention`.
        head_dim: width of a head; None for ``D / H``.
        rope_base: see `MultiHeadAttention`.
        tied: whether embedding and output share their weights.
        attention_bias: see `LlamaBlock`.
        mlp_bias: see `LlamaBlock`.
        attention_dropout_rate: of the weights of attention.
        epsilon: of the norms.
        activation: of the gates.
        scan_blocks: compile all blocks but the first once; such a model takes no carry.
        remat: what the backward pass of a block finds in memory, see `jaxdl.models.scanning.rematerialize`.
        dtype: of the computation.

    >>> model = Llama(vocab_size=9, context_length=8, d_model=16, num_layers=2, num_heads=4, num_kv_heads=2, mlp_dim=24)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 5), int))
    >>> logits.shape, sorted(variables["params"])
    ((1, 5, 9), ['decoder_block1', 'decoder_block2', 'embedding', 'norm', 'output'])
    """

    vocab_size: int = 32_000
    context_length: int = 4096
    d_model: int = 4096
    num_layers: int = 32
    num_heads: int = 32
    mlp_dim: int = 11_008
    num_kv_heads: int | None = None
    head_dim: int | None = None
    rope_base: float = 10_000.0
    tied: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout_rate: float = 0.0
    epsilon: float = 1e-5
    activation: str = "silu"
    scan_blocks: bool = False
    remat: Remat = "none"
    dtype: Any = None

    def __call__(
        self,
        x: ArrayLike,
        carry: LlamaCarry | None = None,
        train: bool = False,
        return_intermediates: bool = False,
        mask: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Array | tuple[Array, dict[str, Any]]:
        """Compute the logits ``[B, T, V]`` of the token after each of the tokens ``[B, T]``.

        Args:
            x: tokens ``[B, T]``.
            carry: of the tokens before.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            return_intermediates: return ``(logits, intermediates)``.
            mask: 1 for tokens and 0 for padding, ``[B, T]``; padding changes no logits elsewhere, whatever its values.
            lengths: the numbers of tokens, ``[B]``, in the place of the mask; the rest is padding.

        Raises:
            ValueError: the tokens are no integers ``[B, T]``, or more than the context, the mask or the carry does not
                fit them, or there is no block.
        """
        x = check_tokens("x", x, context_length=self.context_length)
        mask = token_mask(mask, lengths, x.shape)
        z, embedding, output, out = self._encode(x, carry, train, return_intermediates, mask)
        logits = embedding.attend(z) if output is None else output(z)
        return (logits, out) if return_intermediates else logits

    def token_losses(self, x: ArrayLike, targets: ArrayLike, train: bool = False) -> Array:
        """Compute ``-ln p(y_t | x_1 .. x_t)`` in nats for targets ``y`` ``[B, T]``, without an array of all logits.

        Returns:
            ``[B, T]``, see `jaxdl.losses.linear_cross_entropy`.
        """
        x = check_tokens("x", x, context_length=self.context_length)
        z, embedding, output, _ = self._encode(x, None, train, False, None)
        kernel = embedding.embedding.T if output is None else output.variables["params"]["kernel"]
        return linear_cross_entropy(z, kernel, targets, reduction="none")

    @linen.compact
    def _encode(
        self, x: Array, carry: LlamaCarry | None, train: bool, return_intermediates: bool, mask: Array | None
    ) -> tuple[Array, Embed, linen.Dense | None, dict[str, Any]]:
        """Compute ``norm(z_L)`` ``[B, T, D]``; return also the embedding, the output layer, and the intermediates."""
        check_depth(self.num_layers)
        x = x if mask is None else clear_padding(x, mask, self.vocab_size)
        init = normal(0.02)
        embedding = Embed(self.vocab_size, self.d_model, embedding_init=init, dtype=self.dtype, name="embedding")
        out: dict[str, Any] = {}
        z = collect(out, "embedded", nan_if_additive(embedding(x), mask))
        caches, valid = (None, mask) if carry is None else (carry.caches, _mark_valid(carry, mask))
        block = partial(
            LlamaBlock,
            output_init=normal(0.02 / (2 * self.num_layers) ** 0.5),  # the sum of all branches has the scale of one
            **{name: getattr(self, name) for name in _OF_BLOCKS},
        )
        z, intermediates = run_blocks(
            block,
            "decoder",
            self.num_layers,
            z,
            train,
            caches=caches,
            scan=self.scan_blocks,
            remat=self.remat,
            mask=None if valid is None else padding_mask(valid),
            return_weights=return_intermediates,
        )
        out |= intermediates
        if carry is not None and valid is not None:
            out["carry"] = LlamaCarry(out["carry"], valid)
        z = collect(out, "encoded", RMSNorm(epsilon=self.epsilon, name="norm")(z))
        output = linen.Dense(self.vocab_size, use_bias=False, dtype=self.dtype, kernel_init=init, name="output")
        return z, embedding, None if self.tied else output, out

    def init_carry(
        self, batch_shape: Sequence[int] = (), max_length: int | None = None, dtype: Any = None
    ) -> LlamaCarry:
        """Make empty caches for ``max_length`` tokens, by default ``context_length``; see `GPT.init_carry`.

        Raises:
            ValueError: ``max_length`` exceeds the context, or the heads do not divide ``d_model``, or not each other.
        """
        max_length = self.context_length if max_length is None else max_length
        if max_length > self.context_length:
            raise ValueError(f"expected max_length <= context_length = {self.context_length}, got {max_length}")
        kv_heads, head_dim = split_heads(self.d_model, self.num_heads, self.num_kv_heads, _width_of(self))
        cache = init_cache(batch_shape, kv_heads, max_length, head_dim, self.dtype if dtype is None else dtype)
        return LlamaCarry((cache,) * self.num_layers, jnp.ones((*batch_shape, max_length), bool))

    def step(self, carry: LlamaCarry, token: Array) -> tuple[LlamaCarry, Array]:
        """Map the carry and a token ``[B]`` to the next carry and logits ``[B, V]``."""
        logits, out = self(token[:, None], carry, return_intermediates=True)
        return out["carry"], logits[:, 0]


_OF_BLOCKS = (
    "num_heads",
    "mlp_dim",
    "num_kv_heads",
    "head_dim",
    "rope_base",
    "attention_bias",
    "mlp_bias",
    "attention_dropout_rate",
    "epsilon",
    "activation",
    "dtype",
)
"""The fields of a model that are those of its blocks."""


def _width_of(module: LlamaBlock | Llama) -> int | None:
    """Return the width of all heads together; None for that of the model."""
    return None if module.head_dim is None else module.num_heads * module.head_dim


def _mark_valid(carry: LlamaCarry, mask: Array | None) -> Array:
    """Mark the next slots as valid or padding."""
    if mask is None:
        return carry.valid
    return jax.lax.dynamic_update_slice_in_dim(carry.valid, mask > 0, carry.caches[0].length, axis=-1)


register(
    "llama2_7b",
    Llama,
    input_shape=(4096,),
    input_dtype="int32",
    description="Llama 2, 7 billion: 6,738,415,616 parameters",
)
register(
    "smollm2_135m",
    Llama,
    input_shape=(2048,),
    input_dtype="int32",
    description="SmolLM2, 135 million, of English: 134,515,008 parameters",
    vocab_size=49_152,
    context_length=8192,
    d_model=576,
    num_layers=30,
    num_heads=9,
    num_kv_heads=3,
    mlp_dim=1536,
    rope_base=100_000.0,
    tied=True,
)
register(
    "llama_tiny",
    Llama,
    input_shape=(128,),
    input_dtype="int32",
    description="Llama for small experiments, over bytes: 820,352 parameters",
    vocab_size=256,
    context_length=128,
    d_model=128,
    num_layers=4,
    num_heads=4,
    num_kv_heads=2,
    mlp_dim=384,
    tied=True,
)
