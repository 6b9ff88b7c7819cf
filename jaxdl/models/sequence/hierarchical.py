"""Hierarchical networks: words make sentences, and sentences make documents or dialogues.

A source is tokens ``[..., N, T]``, ``N`` sentences of at most ``T`` words. ``lengths`` ``[..., N]`` are the numbers of
words; a sentence without words is padding. Padding of either kind changes neither an output nor a gradient. The
computation is in ``dtype``, except for the weights of attention, which are at least float32.
"""

from typing import Any, ClassVar

import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import collect, output_layer
from jaxdl.models.sequence.encoder_decoder import Encoder, EncoderDecoder, Memory
from jaxdl.models.sequence.layers import RENAMED_FIELDS, embed, last
from jaxdl.nn.attention.dot_product import attend
from jaxdl.nn.attention.masking import clear_hidden, padding_mask
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]


@renamed_fields(features="hidden_size")
class AttentionPooling(linen.Module):
    """Pool vectors by attention with a learned query that is the same for all inputs (Yang et al., 2016)::

        a_t = softmax_t(tanh(x_t W + b) u)
        y   = sum_t a_t x_t

    Where the mask is 0 everywhere, ``y`` is 0.

    >>> import jax
    >>> layer = AttentionPooling(8)
    >>> (y, weights), _ = layer.init_with_output(jax.random.key(0), jnp.ones((2, 4, 3)), jnp.array([[1, 1, 0, 0]] * 2))
    >>> y.shape, weights[0].tolist()
    ((2, 3), [0.5, 0.5, 0.0, 0.0])
    """

    hidden_size: int
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, mask: ArrayLike) -> tuple[Array, Array]:
        """Pool ``x`` ``[..., T, D]`` where the mask ``[..., T]`` is not 0: return ``[..., D]`` and the weights."""
        x = clear_hidden(x, padding_mask(mask))
        hidden = jnp.tanh(linen.Dense(self.hidden_size, dtype=self.dtype, name="hidden")(x))
        vector = self.param("vector", linen.initializers.normal(self.hidden_size**-0.5), (self.hidden_size,))
        scores = hidden @ vector.astype(x.dtype)
        y, weights = attend(scores[..., None, :], x, padding_mask(mask), return_weights=True)
        return y[..., 0, :], weights[..., 0, :]


@renamed_fields(vocabulary="vocab_size", attention="attention_dim", **RENAMED_FIELDS)
class HierarchicalAttentionNetwork(linen.Module):
    """A document classifier over sentences, each over its words (Yang et al., 2016)::

        h_it = bidirectional network over the words t of sentence i
        s_i  = sum_t a_it h_it                a_it by `AttentionPooling` of the words
        h_i  = bidirectional network over the sentences s_i of the document
        v    = sum_i a_i h_i                  a_i by `AttentionPooling` of the sentences

    and a linear layer on ``v``. Its task is ``tasks.sequence_classification``.

    Intermediates are ``embedding``, ``word_states``, ``word_attention`` ``[..., N, T]``, ``sentences`` (``s``),
    ``sentence_states``, ``sentence_attention`` ``[..., N]`` and ``pooled`` (``v``).

    Args:
        vocab_size: the number of tokens; None for inputs that are vectors.
        num_classes: of the logits.
        embedding_dim: of the tokens.
        cell: of the network over words.
        sentence_cell: of the network over sentences; None for ``cell``.
        attention_dim: the hidden size of both poolings.
        dropout_rate: of the embedded tokens and of the sentences.
        dtype: of the computation.

    >>> import jax
    >>> model = HierarchicalAttentionNetwork(vocab_size=9, embedding_dim=4, cell=GRU(5))
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, 3, 6), int))
    >>> shapes["params"]["sentences"]["layer0"]["forward"]["kernel"].shape
    (10, 15)
    """

    vocab_size: int | None
    num_classes: int = 2
    embedding_dim: int = 64
    cell: Cell = GRU(50)
    sentence_cell: Cell | None = None
    attention_dim: int = 64
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[..., num_classes]`` of documents ``[..., N, T]``, or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, mask = _embed_sentences(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        out: dict[str, Any] = {}
        x = collect(out, "embedding", x)
        x = Dropout(self.dropout_rate)(x, train=train)
        _, x = RNN(self.cell, bidirectional=True, name="words")(x, mask=mask)
        x = collect(out, "word_states", x)
        x, out["word_attention"] = AttentionPooling(self.attention_dim, self.dtype, name="word_attention")(x, mask)
        x, mask = collect(out, "sentences", x), jnp.any(mask, axis=-1)  # [..., N, D], [..., N]
        x = Dropout(self.dropout_rate)(x, train=train)
        cell = self.cell if self.sentence_cell is None else self.sentence_cell
        _, x = RNN(cell, bidirectional=True, name="sentences")(x, mask=mask)
        x = collect(out, "sentence_states", x)
        pooling = AttentionPooling(self.attention_dim, self.dtype, name="sentence_attention")
        x, out["sentence_attention"] = pooling(x, mask)
        x = collect(out, "pooled", x)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


@renamed_fields()
class HierarchicalEncoder(Encoder):
    """A network over each sentence, and a network over their last states (Sordoni et al., 2015).

    The memory has a state for each sentence, and the last of them as summary. Only the network over words runs in both
    directions. The fields are those of `Encoder`.
    """

    @linen.compact
    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Encode tokens ``[..., N, T]`` or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: they are of the wrong kind, or the lengths do not fit them.
        """
        x, mask = _embed_sentences(source, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        x = Dropout(self.dropout_rate)(x, train=train)
        words = RNN(self.cell, self.num_layers, self.bidirectional, self.dropout_rate, name="words")
        sentences = last(words(x, mask=mask, train=train)[1], mask, both_ends=self.bidirectional)
        mask = jnp.any(mask, axis=-1)
        over_sentences = RNN(self.cell, self.num_layers, False, self.dropout_rate, name="sentences")
        _, states = over_sentences(sentences, mask=mask, train=train)
        return Memory(states, mask, last(states, mask))


@renamed_fields()
class HierarchicalEncoderDecoder(EncoderDecoder):
    """Dialogue to answer: an `EncoderDecoder` whose source is sentences ``[B, N, T]``, with lengths ``[B, N]``.

    With ``context="attention"`` the decoder attends to the sentences (Serban et al., 2016, without attention).

    >>> import jax
    >>> model = HierarchicalEncoderDecoder(source_vocab_size=9, target_vocab_size=9, cell=GRU(5), embedding_dim=4)
    >>> dialogue, answer = jnp.ones((2, 3, 6), int), jnp.ones((2, 4), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), dialogue, answer)[0].shape
    (2, 4, 9)
    """

    encoder_class: ClassVar[type[Encoder]] = HierarchicalEncoder


def _embed_sentences(
    x: ArrayLike, lengths: ArrayLike | None, vocab_size: int | None, embedding_dim: int, dtype: Any
) -> tuple[Array, Array]:
    x, mask = embed(x, lengths, vocab_size, embedding_dim, dtype)
    if mask.ndim < 2:
        raise ValueError(f"expected a document [..., N, T], sentences of words, got {mask.shape}")
    return x, mask
