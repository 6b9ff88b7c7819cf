"""Decomposable attention between two sentences (Parikh et al., 2016)."""

from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.models.layers import collect, output_layer
from jaxdl.models.sequence.layers import embed
from jaxdl.nn.attention.dot_product import attend
from jaxdl.nn.attention.masking import padding_mask
from jaxdl.nn.attention.scores import dot_scores
from jaxdl.nn.noise import Dropout
from jaxdl.typing import Array, ArrayLike


class DecomposableAttention(linen.Module):
    """A classifier of pairs of sentences that compares every word with what it is aligned to::

        e_ij = F(a_i) F(b_j)^T                                attend
        beta_i = sum_j softmax_j(e_ij) b_j                    of the words b for a_i, alpha_j of the words a for b_j
        v_1 = sum_i G([a_i; beta_i]),  v_2 = sum_j G([b_j; alpha_j])    compare
        y = H([v_1; v_2]) V + d                               aggregate

    ``F``, ``G`` and ``H`` have two rectified layers each; neither reads the order of the words.

    Intermediates are the weights ``attention`` ``[B, T, S]`` from the first sentence to the second and ``attention2``
    ``[B, S, T]`` back, and ``compared`` (``[v_1; v_2]``).

    Args:
        vocab_size: the number of tokens; None for sentences that are vectors.
        num_classes: of the logits.
        embedding_dim: of the tokens.
        hidden_size: of all layers.
        dropout_rate: of the inputs of every layer of ``F``, ``G`` and ``H``.
        dtype: of the computation.

    >>> import jax
    >>> model = DecomposableAttention(vocab_size=9, num_classes=3, embedding_dim=4, hidden_size=5)
    >>> a, b = jnp.ones((2, 6), int), jnp.ones((2, 4), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), a, b)[0].shape
    (2, 3)
    """

    vocab_size: int | None
    num_classes: int = 3
    embedding_dim: int = 64
    hidden_size: int = 64
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        first: ArrayLike,
        second: ArrayLike,
        first_lengths: ArrayLike | None = None,
        second_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Array | tuple[Array, dict[str, Any]]:
        """Compute the logits ``[B, num_classes]`` of tokens ``[B, T]`` and ``[B, S]``; padding does not count.

        Raises:
            ValueError: the sentences are of the wrong kind, or the lengths do not fit them.
        """
        a, b = jnp.asarray(first), jnp.asarray(second)
        if a.ndim != b.ndim or len(a) != len(b) or a.ndim < 2:
            raise ValueError(f"expected as many first as second sentences of one kind, got {a.shape} and {b.shape}")
        sizes, count, longest = (a.shape[1], b.shape[1]), len(a), max(a.shape[1], b.shape[1])
        rest = [(0, 0)] * (a.ndim - 2)
        both = jnp.concatenate([jnp.pad(x, [(0, 0), (0, longest - x.shape[1]), *rest]) for x in (a, b)])  # [2 B, ...]
        given = zip((first_lengths, second_lengths), sizes, strict=True)
        lengths = jnp.concatenate([jnp.full(count, size) if own is None else jnp.asarray(own) for own, size in given])
        x, mask = embed(both, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        (a, b), (a_mask, b_mask) = jnp.split(x, 2), jnp.split(mask, 2)
        projected = jnp.split(self.mlp("attend", x, train), 2)
        scores = dot_scores(*projected)  # [B, T, S]
        out: dict[str, Any] = {}
        beta, weights = attend(scores, b, padding_mask(b_mask), return_weights=True)
        alpha, back = attend(jnp.swapaxes(scores, 1, 2), a, padding_mask(a_mask), return_weights=True)
        out |= {"attention": weights[:, : sizes[0], : sizes[1]], "attention2": back[:, : sizes[1], : sizes[0]]}
        aligned = jnp.concatenate([x, jnp.concatenate([beta, alpha]).astype(x.dtype)], axis=-1)
        compared = jnp.where(mask[..., None], self.mlp("compare", aligned, train), 0)
        compared = jnp.concatenate(jnp.split(jnp.sum(compared, axis=1), 2), axis=-1)
        compared = collect(out, "compared", compared)
        logits = output_layer(self.mlp("aggregate", compared, train), self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits

    def mlp(self, name: str, x: Array, train: bool) -> Array:
        """Apply two rectified layers, each with dropout of its input."""
        for number in (1, 2):
            x = Dropout(self.dropout_rate)(x, train=train)
            x = linen.relu(linen.Dense(self.hidden_size, dtype=self.dtype, name=f"{name}{number}")(x))
        return x
