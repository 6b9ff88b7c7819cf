"""BERT (Devlin et al., 2019): a bidirectional encoder of text, and its heads."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_one_of, renamed_fields
from jaxdl.models.layers import Embed, check_tokens, clear_padding, collect, nan_if_additive, output_layer, token_mask
from jaxdl.models.registry import register
from jaxdl.models.scanning import Remat
from jaxdl.models.transformers.block import RENAMED_FIELDS, Block, run_blocks
from jaxdl.nn.activations import get_activation
from jaxdl.nn.attention.masking import padding_mask
from jaxdl.nn.initializers import normal, zeros
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike

HEADS = (None, "masked_language_model", "classification")


@renamed_fields(
    vocabulary="vocab_size",
    context="context_length",
    segments="num_segments",
    features="d_model",
    depth="num_layers",
    **RENAMED_FIELDS,
)
class BERT(linen.Module):
    """A text encoder in which every token attends to all others, with the output of its ``head``::

        z_0 = embedding_norm(E[x] + P + S[segment])   E, P, S  learned, of tokens, positions and segments
        z_l = block_l(z_(l-1))                        norms on the sums
        pooled = tanh(z_L[first] W + b)               of the first token, which represents the text

    - None: ``y = z_L``, ``[B, T, D]``;
    - "masked_language_model": ``y = transform_norm(activation(z_L W + b)) E^T + output_bias``, the logits
      ``[B, T, V]`` of the tokens, masked ones included;
    - "classification": ``y = pooled W + b``, the logits ``[B, num_classes]`` of the text.

    Intermediates are ``embedded`` (``z_0``), ``encoder_block1`` (``z_1``), ``encoder_block1_attention`` (its weights,
    ``[B, H, T, T]``) and so on, and except for a masked language model ``pooled``.

    Args:
        head: see above.
        num_classes: of "classification"; 0 for the result ``pooled``, of a backbone.
        vocab_size: ``V``.
        context_length: the number of positions.
        num_segments: kinds of segments; a text and its answer, for instance.
        d_model: ``D``.
        num_layers: ``L``.
        num_heads: ``H``; they divide ``D``.
        mlp_dim: hidden size of the MLP of a block.
        dropout_rate: of ``z_0``, of the branches of a block, and of ``pooled`` for "classification".
        attention_dropout_rate: of the weights of attention.
        epsilon: of the norms.
        activation: of the MLPs and of the masked language model's head.
        scan_blocks: compile all blocks but the first once.
        remat: what the backward pass of a block finds in memory, see `jaxdl.models.scanning.rematerialize`.
        dtype: of the computation.

    >>> import jax
    >>> model = BERT("classification", vocab_size=9, d_model=16, num_layers=2, num_heads=2, mlp_dim=32)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 5), int))
    >>> logits.shape, variables["params"]["segments"]["embedding"].shape
    ((1, 2), (2, 16))
    """

    head: str | None = None
    num_classes: int = 2
    vocab_size: int = 30_522
    context_length: int = 512
    num_segments: int = 2
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_dim: int = 3072
    dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.1
    epsilon: float = 1e-12
    activation: str = "gelu"
    scan_blocks: bool = False
    remat: Remat = "none"
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        x: ArrayLike,
        segment: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
        lengths: ArrayLike | None = None,
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute ``y`` for the tokens ``[B, T]``.

        Args:
            x: tokens ``[B, T]``.
            segment: the segment of each token, ``[B, T]``; None for 0.
            mask: 1 for tokens and 0 for padding, ``[B, T]``; padding changes no other vector, whatever its values. A
                mask that is added to scores, 0 for tokens, is an error, and gives NaN where it is traced.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            return_intermediates: return ``(y, intermediates)``.
            lengths: the numbers of tokens, ``[B]``, in the place of the mask; the rest is padding.

        Raises:
            ValueError: the tokens are no integers ``[B, T]``, outside of the vocabulary or more than the context, the
                segments are not as many integers, the mask is negative or has another shape, there is a mask beside
                lengths, or not a length for each text, or the head is unknown.
        """
        x = check_tokens("x", x, context_length=self.context_length)
        check_one_of("head", self.head, HEADS)
        dense = partial(linen.Dense, kernel_init=normal(0.02), dtype=self.dtype)
        norm = partial(LayerNorm, epsilon=self.epsilon)
        drop = partial(Dropout(self.dropout_rate), train=train)
        mask = token_mask(mask, lengths, x.shape)
        x = x if mask is None else clear_padding(x, mask, self.vocab_size)
        z, embedding = self._embed(x, segment, mask)
        z = nan_if_additive(z, mask)
        out: dict[str, Any] = {}
        z = collect(out, "embedded", drop(norm(name="embedding_norm")(z)))
        block = partial(
            Block,
            self.num_heads,
            self.mlp_dim,
            norm_first=False,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
            mlp_dropout_rate=0.0,
            attention_dropout_rate=self.attention_dropout_rate,
            epsilon=self.epsilon,
            kernel_init=normal(0.02),
            dtype=self.dtype,
        )
        attention_mask = None if mask is None else padding_mask(mask)
        z, intermediates = run_blocks(
            block,
            "encoder",
            self.num_layers,
            z,
            train,
            mask=attention_mask,
            scan=self.scan_blocks,
            remat=self.remat,
            return_weights=return_intermediates,
        )
        out |= intermediates
        y = z
        if self.head == "masked_language_model":
            y = norm(name="transform_norm")(get_activation(self.activation)(dense(self.d_model, name="transform")(z)))
            bias = self.param("output_bias", zeros, (self.vocab_size,), jnp.float32)
            y = embedding.attend(y)
            y = y + bias.astype(y.dtype)[None, None]
        else:
            collect(out, "pooled", jnp.tanh(dense(self.d_model, name="pooler")(z[:, 0])))
        if self.head == "classification":
            y = output_layer(drop(out["pooled"]), self.num_classes, kernel_init=normal(0.02), dtype=self.dtype)
        return (y, out) if return_intermediates else y

    def _embed(self, x: Array, segment: ArrayLike | None, mask: Array | None) -> tuple[Array, Embed]:
        """Return the sum of the three embeddings, ``[B, T, D]``, and the embedding of tokens."""
        embed = partial(Embed, features=self.d_model, embedding_init=normal(0.02), dtype=self.dtype)
        embedding = embed(self.vocab_size, name="embedding")
        positions = embed(self.context_length, name="positions")(jnp.arange(x.shape[1]))
        segment = jnp.zeros_like(x) if segment is None else check_tokens("segment", segment)
        if segment.shape != x.shape:
            raise ValueError(f"expected a segment for each token, {x.shape}, got {segment.shape}")
        segment = segment if mask is None else clear_padding(segment, mask, self.num_segments)
        return embedding(x) + positions[None] + embed(self.num_segments, name="segments")(segment), embedding


register(
    "bert_base",
    BERT,
    input_shape=(512,),
    input_dtype="int32",
    description="BERT, base, of lower-case English: 109,482,240 parameters, the pooler's included",
)
register(
    "bert_large",
    BERT,
    input_shape=(512,),
    input_dtype="int32",
    description="BERT, large, of lower-case English: 335,141,888 parameters, the pooler's included",
    d_model=1024,
    num_layers=24,
    num_heads=16,
    mlp_dim=4096,
)
