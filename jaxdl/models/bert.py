"""BERT (Devlin et al., 2019): a stack of blocks that reads a text in both directions, and the heads that train it."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.models.layers import check_tokens
from jaxdl.models.registry import register
from jaxdl.models.transformer_block import Block, run_blocks
from jaxdl.nn.activations import gelu
from jaxdl.nn.attention import padding_mask
from jaxdl.nn.initializers import normal, zeros
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike

HEADS = (None, "masked_language_model", "classification")


class BERT(nn.Module):
    """Vectors of the tokens of a text, each of which has seen all others; and by ``head`` what is told of them::

        z_0 = embedding_norm(E[x] + P + S[segment])   E, P, S  learned, of tokens, positions and segments
        z_l = block_l(z_(l-1))                        norms on the sums
        pooled = tanh(z_L[first] W + b)               of the first token, which stands for the text

    - None: ``y = z_L``, ``[B, T, D]``;
    - "masked_language_model": ``y = transform_norm(gelu(z_L W + b)) E^T + output_bias``, the logits ``[B, T, V]`` of
      the tokens, also of those that were hidden;
    - "classification": ``y = pooled W + b``, the logits ``[B, num_classes]`` of the text.

    The features are ``embedded`` (``z_0``), ``encoder_block1`` (``z_1``), ``encoder_block1_attention`` (its weights,
    ``[B, heads, T, T]``) and so on, and ``pooled``, which a masked language model does not have.

    Args:
        head: see above.
        num_classes: of "classification".
        vocabulary: ``V``.
        context: how many positions there are.
        segments: kinds of segments; a text and its answer, for instance.
        features: ``D``.
        depth: ``L``.
        heads: of attention; they divide ``D``.
        mlp_features: units of the small network of a block.
        dropout: share that is dropped of ``z_0``, of what is added to it in a block, and of ``pooled`` for
            "classification".
        attention_dropout: share of the weights of attention that is dropped.
        epsilon: of the norms.
        scan_blocks: run all blocks but the first as one that is compiled once.
        dtype: of the computation.

    >>> import jax
    >>> model = BERT("classification", vocabulary=9, features=16, depth=2, heads=2, mlp_features=32)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 5), int))
    >>> logits.shape, variables["params"]["segments"]["embedding"].shape
    ((1, 2), (2, 16))
    """

    head: str | None = None
    num_classes: int = 2
    vocabulary: int = 30_522
    context: int = 512
    segments: int = 2
    features: int = 768
    depth: int = 12
    heads: int = 12
    mlp_features: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    epsilon: float = 1e-12
    scan_blocks: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x: ArrayLike,
        segment: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        train: bool = False,
        return_features: bool = False,
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return ``y`` of the tokens ``[B, T]``.

        Args:
            x: tokens ``[B, T]``.
            segment: which segment each belongs to, ``[B, T]``; None for 0.
            mask: 0 for padding, ``[B, T]``, which then changes no other vector.
            train: drop, with the random numbers of the collection ``"dropout"``.
            return_features: return ``(y, features)``.

        Raises:
            ValueError: the tokens are no integers ``[B, T]``, or more than the context, the segments are not as many
                integers, or the head is unknown.
        """
        x = check_tokens("x", x, context=self.context)
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {HEADS}; came {self.head!r}")
        dense = partial(nn.Dense, kernel_init=normal(0.02), dtype=self.dtype)
        norm = partial(LayerNorm, epsilon=self.epsilon)
        drop = partial(Dropout(1 - self.dropout), train=train)
        z, embedding = self._embed(x, segment)
        out = {"embedded": drop(norm(name="embedding_norm")(z))}
        block = partial(
            Block,
            self.heads,
            self.mlp_features,
            norm_first=False,
            dropout=self.dropout,
            mlp_dropout=0.0,
            attention_dropout=self.attention_dropout,
            epsilon=self.epsilon,
            kernel_init=normal(0.02),
            dtype=self.dtype,
        )
        given = {"mask": None if mask is None else padding_mask(mask), "scan": self.scan_blocks}
        z, seen = run_blocks(block, "encoder", self.depth, out["embedded"], train, **given)
        out |= seen
        y = z
        if self.head == "masked_language_model":
            y = norm(name="transform_norm")(gelu(dense(self.features, name="transform")(z)))
            bias = self.param("output_bias", zeros, (self.vocabulary,), jnp.float32)
            y = embedding.attend(y)
            y = y + bias.astype(y.dtype)[None, None]
        else:
            out["pooled"] = jnp.tanh(dense(self.features, name="pooler")(z[:, 0]))
        if self.head == "classification":
            y = dense(self.num_classes, name="output")(drop(out["pooled"]))
        return (y, out) if return_features else y

    def _embed(self, x: Array, segment: ArrayLike | None) -> tuple[Array, nn.Embed]:
        """Return the sums of the three vectors, ``[B, T, D]``, and the embedding of tokens."""
        embed = partial(nn.Embed, features=self.features, embedding_init=normal(0.02), dtype=self.dtype)
        embedding = embed(self.vocabulary, name="embedding")
        positions = embed(self.context, name="positions")(jnp.arange(x.shape[1]))
        segment = jnp.zeros_like(x) if segment is None else check_tokens("segment", segment)
        if segment.shape != x.shape:
            raise ValueError(f"segment must have one number for each token, {x.shape}; came {segment.shape}")
        return embedding(x) + positions[None] + embed(self.segments, name="segments")(segment), embedding


@register((512,), "int32")
def bert_base() -> BERT:
    """BERT, base, of lower-case English: 109,482,240 parameters, the pooler's included."""
    return BERT()


@register((512,), "int32")
def bert_large() -> BERT:
    """BERT, large, of lower-case English: 335,141,888 parameters, the pooler's included."""
    return BERT(features=1024, depth=24, heads=16, mlp_features=4096)
