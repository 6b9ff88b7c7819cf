"""The transformer (Vaswani et al., 2017): stacks that read and that write, and the network that translates."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.models.layers import check_tokens
from jaxdl.models.transformers.block import Block, run_blocks
from jaxdl.nn.activations import Activation
from jaxdl.nn.attention.cache import Cache, init_cache
from jaxdl.nn.attention.dot_product import padding_mask
from jaxdl.nn.attention.position import sinusoidal_positions
from jaxdl.nn.initializers import normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]


class _Stack(nn.Module):
    """What the stacks have in common: the fields of their blocks, and whether a norm follows the last."""

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
    dtype: Any = None

    def block(self, **fields: Any) -> Callable[..., Block]:
        """Return what makes a block."""
        names = ("norm_first", "activation", "dropout_rate", "attention_dropout_rate", "epsilon", "dtype")
        settings = {name: getattr(self, name) for name in names}
        return partial(Block, self.num_heads, self.mlp_dim, **settings, **fields)

    def last(self, x: Array) -> Array:
        """Normalise what the last block gave."""
        final = self.norm_first if self.final_norm is None else self.final_norm
        return LayerNorm(epsilon=self.epsilon, name="norm")(x) if final else x


class Encoder(_Stack):
    """Blocks in which every position sees every other: ``[B, S, D]`` to the same shape.

    The fields are those of `Block`, with ``num_layers`` blocks, and ``final_norm``: whether a norm follows the last of
    them, by default where norms come first, else the sum of all residual branches would go on as it is.

    >>> import jax
    >>> layer = Encoder(num_layers=2, num_heads=2, mlp_dim=16)
    >>> sorted(jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 5, 8)))["params"])
    ['encoder_block1', 'encoder_block2']
    """

    @nn.compact
    def __call__(
        self, x: Array, mask: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return ``[B, S, D]``, and with ``return_intermediates`` also what `run_blocks` calls its features.

        Args:
            x: ``[B, S, D]``.
            mask: Booleans that broadcast to ``[B, S, S]``; `jaxdl.nn.attention.dot_product.padding_mask` makes one.
            train: drop, with the random numbers of the collection ``"dropout"``.
            return_intermediates: return ``(y, features)``.
        """
        x, out = run_blocks(self.block(), "encoder", self.num_layers, x, train, mask=mask, scan=self.scan_blocks)
        x = self.last(x)
        return (x, out) if return_intermediates else x


class Decoder(_Stack):
    """Blocks in which every position sees those up to itself, and the memory that an encoder made.

    The fields are those of `Encoder`.
    """

    @nn.compact
    def __call__(
        self,
        x: Array,
        memory: Array,
        mask: ArrayLike | None = None,
        memory_mask: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
        caches: Sequence[Cache] | None = None,
    ) -> Output:
        """Return ``[B, T, D]`` for ``x`` ``[B, T, D]``, and with ``return_intermediates`` the features of `run_blocks`.

        Args:
            x: ``[B, T, D]``.
            memory: ``[B, S, D2]``.
            mask: Booleans that broadcast to ``[B, T, T]``.
            memory_mask: Booleans that broadcast to ``[B, T, S]``.
            train: drop, with the random numbers of the collection ``"dropout"``.
            return_intermediates: return ``(y, features)``.
            caches: the positions before these, one a block.
        """
        given = {"mask": mask, "memory": memory, "memory_mask": memory_mask, "caches": caches}
        block = self.block(causal=True)
        x, out = run_blocks(block, "decoder", self.num_layers, x, train, scan=self.scan_blocks, **given)
        x = self.last(x)
        return (x, out) if return_intermediates else x


class TransformerCarry(NamedTuple):
    """What a decoder knows when it writes: the ``memory`` ``[B, S, D]``, where this is no padding, ``keep`` ``[B, S]``,
    and of what was written one cache a block.
    """

    memory: Array
    keep: Array
    caches: tuple[Cache, ...]


class Transformer(nn.Module):
    """The transformer of the paper: an `Encoder` reads the source, a `Decoder` writes the target, token by token::

        m = encoder(sqrt(D) E[source] + positions)
        y = decoder(sqrt(D) F[target_in] + positions, m)
        p(y_(t+1) | y_1 .. y_t, source) = softmax(y F^T)

    Positions are sinusoidal. Without a ``target_vocab_size`` both languages have one vocabulary, and ``F = E``. Padding
    of the source changes nothing; what stands behind the end of a target changes nothing before it.

    To write, ``begin`` reads a source and ``step`` adds a token, for which nothing of those before it is computed
    again: `jaxdl.models.sequence.encoder_decoder.step_function` makes of this what ``decode`` takes. Features are those
    of `run_blocks`, ``memory`` (``m``) and ``decoded`` (``y``).

    Args:
        source_vocab_size: how many tokens there are.
        target_vocab_size: how many, if others.
        d_model: ``D``.
        num_layers: blocks of the encoder, and of the decoder.
        num_heads: of attention.
        mlp_dim: of the small network of a block.
        norm_first: where the norms are, see `Block`.
        final_norm: whether a norm follows the last block of each stack, see `Encoder`; torch always has it.
        activation: of the small networks.
        dropout_rate: share that is dropped of the sums with positions, and in the blocks.
        attention_dropout_rate: share of the weights of attention that is dropped.
        epsilon: of the norms.
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
    num_layers: int = 6
    num_heads: int = 8
    mlp_dim: int = 2048
    norm_first: bool = False
    final_norm: bool | None = None
    activation: str | Activation = "relu"
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.0
    epsilon: float = 1e-5
    dtype: Any = None

    def setup(self):
        """Make embeddings and stacks."""
        shared = ("num_layers", "num_heads", "mlp_dim", "norm_first", "final_norm", "activation", "dropout_rate")
        settings = {name: getattr(self, name) for name in (*shared, "attention_dropout_rate", "epsilon", "dtype")}
        self.encoder, self.decoder = Encoder(**settings), Decoder(**settings)
        init = {"embedding_init": normal(self.d_model**-0.5), "dtype": self.dtype}
        self.source_embedding = nn.Embed(self.source_vocab_size, self.d_model, **init)
        own = self.target_vocab_size is not None
        self.target_embedding = nn.Embed(self.target_vocab_size, self.d_model, **init) if own else self.source_embedding
        self.drop = Dropout(self.dropout_rate)

    def __call__(
        self,
        source: ArrayLike,
        target_in: ArrayLike,
        source_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Output:
        """Return the logits ``[B, T, V]`` of what follows each token of ``target_in`` ``[B, T]``.

        Args:
            source: tokens ``[B, S]``.
            target_in: the true target, one place behind: a start mark, and all tokens but the last.
            source_lengths: ``[B]``; what comes after is padding.
            train: drop, with the random numbers of the collection ``"dropout"``.
            return_intermediates: return ``(logits, features)``.

        Raises:
            ValueError: source or target are no integers of two dimensions, or not as many as each other or the lengths.
        """
        source, target_in = check_tokens("source", source), check_tokens("target_in", target_in)
        if len(source) != len(target_in):
            raise ValueError(
                f"source [B, S] and target_in [B, T] must be of one B; came {source.shape} and {target_in.shape}"
            )
        memory, keep, out = self._read(source, source_lengths, train)
        x, seen = self._write(target_in, memory, keep, train)
        logits = self.target_embedding.attend(x)
        return (logits, {**out, "memory": memory, **seen, "decoded": x}) if return_intermediates else logits

    def begin(
        self, source: ArrayLike, source_lengths: ArrayLike | None = None, *, max_length: int = 256
    ) -> TransformerCarry:
        """Read a source and return the state before the first of at most ``max_length`` tokens of the target.

        What is written beyond them has logits of nan, where ``decode`` ends: see `jaxdl.nn.attention.extend_cache`.
        """
        memory, keep, _ = self._read(source, source_lengths, train=False)
        width = self.d_model // self.num_heads
        cache = init_cache(memory.shape[:1], self.num_heads, max_length, width, memory.dtype)
        return TransformerCarry(memory, keep, (cache,) * self.num_layers)

    def step(self, carry: TransformerCarry, token: Array) -> tuple[TransformerCarry, Array]:
        """Read one token ``[B]``; return the state after it and the logits ``[B, V]`` of the next."""
        x, seen = self._write(token[:, None], carry.memory, carry.keep, False, carry.caches)
        return carry._replace(caches=seen["carry"]), self.target_embedding.attend(x)[:, 0]

    def _read(self, source: ArrayLike, lengths: ArrayLike | None, train: bool) -> tuple[Array, Array, dict[str, Any]]:
        source = check_tokens("source", source)
        if lengths is not None and jnp.shape(lengths) != source.shape[:1]:
            raise ValueError(
                f"source_lengths must be one for each source, {source.shape[:1]}; came {jnp.shape(lengths)}"
            )
        keep = jnp.ones(source.shape, bool) if lengths is None else valid_steps(lengths, source.shape[1])
        x = self._embed(self.source_embedding, source, 0, train)
        x, out = self.encoder(x, padding_mask(keep), train, return_intermediates=True)
        return x, keep, out

    def _write(
        self, tokens: Array, memory: Array, keep: Array, train: bool, caches: tuple[Cache, ...] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        x = self._embed(self.target_embedding, tokens, 0 if caches is None else caches[0].length, train)
        given = {"train": train, "return_intermediates": True, "caches": caches}
        return self.decoder(x, memory, memory_mask=padding_mask(keep), **given)

    def _embed(self, embedding: nn.Embed, tokens: Array, first: ArrayLike, train: bool) -> Array:
        x = self.d_model**0.5 * embedding(tokens)
        positions = sinusoidal_positions(first + jnp.arange(tokens.shape[1]), self.d_model)
        return self.drop(x + positions.astype(x.dtype)[None], train=train)
