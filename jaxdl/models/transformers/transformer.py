"""The transformer (Vaswani et al., 2017): an encoder, a decoder, and both joined for translation.

Dimensions: ``B`` batch, ``S`` source length, ``T`` target length, ``D`` width of the model, ``V`` target vocabulary.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import chex
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import Embed, add_positions, check_tokens, clear_padding, collect
from jaxdl.models.scanning import Remat
from jaxdl.models.transformers.block import RENAMED_FIELDS, Block, run_blocks
from jaxdl.nn.activations import Activation
from jaxdl.nn.attention.cache import Cache, init_cache
from jaxdl.nn.attention.masking import combine_masks, padding_mask
from jaxdl.nn.initializers import normal, zeros
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]


@renamed_fields(depth="num_layers", **RENAMED_FIELDS)
class _Stack(linen.Module, kw_only=True):
    """The configuration that encoder, decoder and transformer share, and the parts that follow from it."""

    num_layers: int = 6
    num_heads: int = 8
    mlp_dim: int = 2048
    norm_first: bool = False
    final_norm: bool | None = None
    activation: str | Activation = "relu"
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    epsilon: float = 1e-5
    scan_blocks: bool = False
    remat: Remat = "none"
    dtype: Any = None

    def settings(self) -> dict[str, Any]:
        """Return the fields of a stack, by name."""
        names = [field.name for field in dataclasses.fields(_Stack) if field.name not in ("parent", "name")]
        return {name: getattr(self, name) for name in names}

    def block(self, causal: bool = False) -> partial[Block]:
        """Return the constructor of the stack's blocks."""
        return partial(
            Block,
            self.num_heads,
            self.mlp_dim,
            causal=causal,
            norm_first=self.norm_first,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
            attention_dropout_rate=self.attention_dropout_rate,
            epsilon=self.epsilon,
            dtype=self.dtype,
        )

    def normalize(self, x: Array) -> Array:
        """Apply the norm after the last block, if there is one."""
        final_norm = self.norm_first if self.final_norm is None else self.final_norm
        return LayerNorm(epsilon=self.epsilon, name="norm")(x) if final_norm else x


@renamed_fields()
class Encoder(_Stack):
    """A stack of blocks in which every position attends to every other: ``[B, S, D]`` to the same shape.

    The fields are those of `Block`, with ``num_layers`` blocks; ``scan_blocks``, see `run_blocks`; and ``final_norm``,
    whether a norm follows the last block. By default it does where norms come first, since the sum of all residual
    branches is not normalized otherwise.

    >>> import jax
    >>> layer = Encoder(num_layers=2, num_heads=2, mlp_dim=16)
    >>> sorted(jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 5, 8)))["params"])
    ['encoder_block1', 'encoder_block2']
    """

    @linen.compact
    def __call__(
        self,
        x: Array,
        lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
        *,
        mask: ArrayLike | None = None,
    ) -> Output:
        """Compute ``[B, S, D]``, and with ``return_intermediates`` also those of `run_blocks`.

        Args:
            x: ``[B, S, D]``.
            lengths: ``[B]``; what comes after is padding, to which no position attends.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            return_intermediates: return ``(y, intermediates)``.
            mask: Booleans that broadcast to ``[B, S, S]``, True where a position attends to another.

        Raises:
            ValueError: the lengths are not integers ``[B]``.
        """
        mask = _attention_mask("lengths", lengths, x, "mask", mask)
        options = {"scan": self.scan_blocks, "remat": self.remat, "return_weights": return_intermediates}
        x, out = run_blocks(self.block(), "encoder", self.num_layers, x, train, mask=mask, **options)
        x = self.normalize(x)
        return (x, out) if return_intermediates else x


@renamed_fields()
class Decoder(_Stack):
    """A stack of blocks in which every position attends to those up to itself, and to an encoder's memory.

    The fields are those of `Encoder`.
    """

    @linen.compact
    def __call__(
        self,
        x: Array,
        memory: Array,
        lengths: ArrayLike | None = None,
        memory_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
        caches: Sequence[Cache] | None = None,
        *,
        mask: ArrayLike | None = None,
        memory_mask: ArrayLike | None = None,
    ) -> Output:
        """Compute ``[B, T, D]`` for ``x`` ``[B, T, D]``, and with ``return_intermediates`` also those of `run_blocks`.

        Args:
            x: ``[B, T, D]``.
            memory: ``[B, S, D2]``.
            lengths: of ``x``, ``[B]``; what comes after is padding.
            memory_lengths: of the memory, ``[B]``; likewise.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            return_intermediates: return ``(y, intermediates)``.
            caches: the earlier positions, one cache a block; a mask then covers all of their slots.
            mask: Booleans that broadcast to ``[B, T, T]``.
            memory_mask: Booleans that broadcast to ``[B, T, S]``.

        Raises:
            ValueError: lengths are not integers ``[B]``, or given beside caches.
        """
        chex.assert_rank([x, memory], 3)
        if caches is not None and lengths is not None:
            raise ValueError("expected a mask of all slots with caches, got lengths; pass mask=...")
        mask = _attention_mask("lengths", lengths, x, "mask", mask)
        memory_mask = _attention_mask("memory_lengths", memory_lengths, memory, "memory_mask", memory_mask)
        block = self.block(causal=True)
        given: dict[str, Any] = {"mask": mask, "memory": memory, "memory_mask": memory_mask, "caches": caches}
        given |= {"scan": self.scan_blocks, "remat": self.remat, "return_weights": return_intermediates}
        x, out = run_blocks(block, "decoder", self.num_layers, x, train, **given)
        x = self.normalize(x)
        return (x, out) if return_intermediates else x


def _attention_mask(
    name: str, lengths: ArrayLike | None, x: Array, mask_name: str, mask: ArrayLike | None
) -> ArrayLike | None:
    """Combine the padding of ``x`` ``[B, S, D]`` with a mask ``[B, T, S]``."""
    if lengths is None:
        return mask
    lengths = jnp.asarray(lengths)
    if lengths.shape != x.shape[:1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"expected {name} {x.shape[:1]} of integers, got {lengths.shape} of {lengths.dtype}; an attention mask is "
            f"{mask_name}=... now"
        )
    return combine_masks(padding_mask(valid_steps(lengths, x.shape[1])), mask)


class TransformerCarry(NamedTuple):
    """The carry of a transformer.

    Attributes:
        memory: the encoded source, ``[B, S, D]``.
        mask: ``[B, S]``, False for padding.
        caches: of the target so far, one a block.
    """

    memory: Array
    mask: Array
    caches: tuple[Cache, ...]


def init_transformer_carry(decoder: Decoder, memory: Array, mask: Array, max_length: int) -> TransformerCarry:
    """Make the carry before the first of at most ``max_length`` tokens, with a memory as wide as the decoder."""
    head_dim = memory.shape[-1] // decoder.num_heads
    cache = init_cache(memory.shape[:1], decoder.num_heads, max_length, head_dim, memory.dtype)
    return TransformerCarry(memory, mask, (cache,) * decoder.num_layers)


@renamed_fields(source_vocabulary="source_vocab_size", target_vocabulary="target_vocab_size", features="d_model")
class Transformer(_Stack):
    """The transformer of the paper: an `Encoder` of the source and a `Decoder` of the target::

        m = encoder(sqrt(D) E[source] + positions)
        y = decoder(sqrt(D) F[target_in] + positions, m)
        p(y_(t+1) | y_1 .. y_t, source) = softmax(y F^T)

    Positions are sinusoidal. Without a ``target_vocab_size`` both languages have one vocabulary, and ``F = E``. Padding
    of the source changes nothing; tokens after the end of a target change nothing before it.

    Intermediates are those of `run_blocks`, ``memory`` (``m``) and ``decoded`` (``y``).

    Args:
        source_vocab_size: the number of source tokens.
        target_vocab_size: the number of target tokens; None for one vocabulary.
        d_model: ``D``.
        num_layers: blocks of the encoder, and of the decoder.
        num_heads: of attention.
        mlp_dim: hidden size of the MLP of a block.
        norm_first: the place of the norms, see `Block`.
        final_norm: whether a norm follows the last block of each stack, see `Encoder`; torch always has it.
        activation: of the MLP.
        output_bias: whether the logits have a bias each, ``b``, as Marian's.
        dropout_rate: of the sums with positions, and in the blocks.
        attention_dropout_rate: of the weights of attention.
        epsilon: of the norms.
        scan_blocks: compile the blocks of each stack from the second on once; such a model has no ``step``.
        remat: what the backward pass of a block finds in memory, see `jaxdl.models.scanning.rematerialize`.
        dtype: of the computation.

    >>> import jax
    >>> model = Transformer(9, 7, d_model=8, num_layers=1, num_heads=2, mlp_dim=16)
    >>> source, target_in = jnp.ones((2, 6), int), jnp.ones((2, 3), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), source, target_in)[0].shape
    (2, 3, 7)
    """

    source_vocab_size: int
    target_vocab_size: int | None = None
    d_model: int = 512
    output_bias: bool = dataclasses.field(default=False, kw_only=True)
    dropout_rate: float = dataclasses.field(default=0.1, kw_only=True)

    def setup(self):
        """Make embeddings and stacks."""
        self.encoder, self.decoder = Encoder(**self.settings()), Decoder(**self.settings())
        embed = partial(Embed, features=self.d_model, embedding_init=normal(self.d_model**-0.5), dtype=self.dtype)
        self.source_embedding = self.target_embedding = embed(self.source_vocab_size)
        if self.target_vocab_size is not None:
            self.target_embedding = embed(self.target_vocab_size)
        self.dropout = Dropout(self.dropout_rate)
        if self.output_bias:
            self.bias = self.param("bias", zeros, (self.target_embedding.num_embeddings,), jnp.float32)

    def __call__(
        self,
        source: ArrayLike,
        target_in: ArrayLike,
        source_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Output:
        """Compute the logits ``[B, T, V]`` of the token after each of ``target_in`` ``[B, T]``.

        Args:
            source: tokens ``[B, S]``.
            target_in: the true target shifted right: ``bos_id``, and all tokens but the last.
            source_lengths: ``[B]``; what comes after is padding.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            return_intermediates: return ``(logits, intermediates)``.

        Raises:
            ValueError: source or target are no integers of two dimensions, or not as many as each other or the lengths.
        """
        source, target_in = check_tokens("source", source), check_tokens("target_in", target_in)
        if len(source) != len(target_in):
            raise ValueError(
                f"expected source [B, S] and target_in [B, T] with the same B, got {source.shape} and {target_in.shape}"
            )
        memory, mask, encoded = self._encode(source, source_lengths, train, return_intermediates)
        memory = collect(encoded, "memory", memory)
        y, decoded = self._decode(target_in, memory, mask, train, return_intermediates=return_intermediates)
        logits = self._logits(collect(decoded, "decoded", y))
        return (logits, encoded | decoded) if return_intermediates else logits

    def init_carry(
        self, source: ArrayLike, source_lengths: ArrayLike | None = None, *, max_length: int = 256
    ) -> TransformerCarry:
        """Encode a source and make the carry before the first of at most ``max_length`` tokens of the target.

        Tokens beyond these have logits of nan, where ``decode`` ends: see `jaxdl.nn.attention.extend_cache`.
        """
        memory, mask, _ = self._encode(source, source_lengths, train=False)
        return init_transformer_carry(self.decoder, memory, mask, max_length)

    def step(self, carry: TransformerCarry, token: Array) -> tuple[TransformerCarry, Array]:
        """Map the carry and a token ``[B]`` to the next carry and logits ``[B, V]``."""
        y, out = self._decode(token[:, None], carry.memory, carry.mask, False, carry.caches)
        return carry._replace(caches=out["carry"]), self._logits(y)[:, 0]

    def _logits(self, y: Array) -> Array:
        logits = self.target_embedding.attend(y)
        return logits + self.bias.astype(logits.dtype)[None, None] if self.output_bias else logits

    def _encode(
        self, source: ArrayLike, lengths: ArrayLike | None, train: bool, return_intermediates: bool = False
    ) -> tuple[Array, Array, dict[str, Any]]:
        source = check_tokens("source", source)
        if lengths is not None and jnp.shape(lengths) != source.shape[:1]:
            raise ValueError(
                f"expected source_lengths {source.shape[:1]}, one for each source, got {jnp.shape(lengths)}"
            )
        mask = jnp.ones(source.shape, bool) if lengths is None else valid_steps(lengths, source.shape[1])
        source = source if lengths is None else clear_padding(source, mask, self.source_vocab_size)
        x = self._embed(self.source_embedding, source, 0, train)
        encoded = self.encoder(x, train=train, return_intermediates=return_intermediates, mask=padding_mask(mask))
        memory, out = encoded if return_intermediates else (encoded, {})
        return cast(Array, memory), mask, cast(dict[str, Any], out)

    def _decode(
        self,
        tokens: Array,
        memory: Array,
        mask: Array,
        train: bool,
        caches: tuple[Cache, ...] | None = None,
        return_intermediates: bool = False,
    ) -> tuple[Array, dict[str, Any]]:
        x = self._embed(self.target_embedding, tokens, 0 if caches is None else caches[0].length, train)
        wanted = return_intermediates or caches is not None
        decoded = self.decoder(
            x, memory, memory_mask=padding_mask(mask), train=train, return_intermediates=wanted, caches=caches
        )
        return cast(tuple[Array, dict[str, Any]], decoded if wanted else (decoded, {}))

    def _embed(self, embedding: Embed, tokens: Array, first: ArrayLike, train: bool) -> Array:
        return self.dropout(add_positions(self.d_model**0.5 * embedding(tokens), first), train=train)
