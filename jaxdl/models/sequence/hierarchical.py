"""Words make sentences, and sentences documents or dialogues: networks that read on both levels.

A source is tokens ``[..., N, T]``, ``N`` sentences of at most ``T`` words. ``lengths`` ``[..., N]`` says how many words
each has; a sentence without words is padding. Padding of either kind changes neither an output nor a gradient. The
computation is in ``dtype``, but for the weights of attention, which are at least float32.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.models.sequence.classifiers import embed, last
from jaxdl.models.sequence.encoder_decoder import EncoderDecoder, Memory
from jaxdl.nn.attention.dot_product import attend, padding_mask
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]


class AttentionPooling(nn.Module):
    """One vector of many, those that matter more: attention whose query is learned and always the same::

        a_t = softmax_t(tanh(x_t W + b) u)
        y   = sum_t a_t x_t

    Where no time is true, ``y`` is 0.

    >>> import jax
    >>> layer = AttentionPooling(8)
    >>> (y, weights), _ = layer.init_with_output(jax.random.key(0), jnp.ones((2, 4, 3)), jnp.array([[1, 1, 0, 0]] * 2))
    >>> y.shape, weights[0].tolist()
    ((2, 3), [0.5, 0.5, 0.0, 0.0])
    """

    hidden_size: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, keep: ArrayLike) -> tuple[Array, Array]:
        """Return the mean ``[..., D]`` of ``x`` ``[..., T, D]`` where ``keep`` ``[..., T]`` is not 0, and weights."""
        hidden = jnp.tanh(nn.Dense(self.hidden_size, dtype=self.dtype, name="hidden")(x))
        vector = self.param("vector", nn.initializers.normal(self.hidden_size**-0.5), (self.hidden_size,))
        scores = hidden @ vector.astype(x.dtype)
        y, weights = attend(scores[..., None, :], x, padding_mask(keep), return_weights=True)
        return y[..., 0, :], weights[..., 0, :]


class HierarchicalAttentionNetwork(nn.Module):
    """A document read sentence by sentence, and each sentence word by word (Yang et al., 2016)::

        h_it = words in both directions along the sentence i, at the word t
        s_i  = sum_t a_it h_it                a_it by ``AttentionPooling`` of the words
        h_i  = sentences in both directions along the document, at the sentence i, reading s_i
        v    = sum_i a_i h_i                  a_i by ``AttentionPooling`` of the sentences

    and a linear layer on ``v``. ``tasks.sequence_classification`` teaches it.

    ``dropout_rate`` is that of dropout on the word vectors and on the sentences. Features are ``embedding``,
    ``word_states``, ``word_attention`` ``[..., N, T]``, ``sentences`` (``s``), ``sentence_states``,
    ``sentence_attention`` ``[..., N]`` and ``pooled`` (``v``).

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

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[..., num_classes]`` of documents ``[..., N, T]``, or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, keep = _embed_sentences(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        features: dict[str, Any] = {"embedding": x}
        x = Dropout(self.dropout_rate)(x, train=train)
        x = features["word_states"] = RNN(self.cell, bidirectional=True, name="words")(x, mask=keep)[1]
        x, features["word_attention"] = AttentionPooling(self.attention_dim, self.dtype, name="word_attention")(x, keep)
        features["sentences"], keep = x, jnp.any(keep, axis=-1)
        x = Dropout(self.dropout_rate)(x, train=train)
        cell = self.cell if self.sentence_cell is None else self.sentence_cell
        x = features["sentence_states"] = RNN(cell, bidirectional=True, name="sentences")(x, mask=keep)[1]
        pooling = AttentionPooling(self.attention_dim, self.dtype, name="sentence_attention")
        x, features["sentence_attention"] = pooling(x, keep)
        features["pooled"] = x
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_intermediates else logits


class HierarchicalEncoder(nn.Module):
    """One network reads each sentence, another what they came to, one after the other (Sordoni et al., 2015).

    The memory has a state for each sentence, and the last of them as its vector.
    """

    vocab_size: int | None
    embedding_dim: int = 64
    cell: Cell = GRU(64)
    num_layers: int = 1
    bidirectional: bool = True
    dropout_rate: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Read tokens ``[..., N, T]`` or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: they are of the wrong kind, or the lengths do not fit them.
        """
        x, keep = _embed_sentences(source, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        x = Dropout(self.dropout_rate)(x, train=train)
        words = RNN(self.cell, self.num_layers, self.bidirectional, self.dropout_rate, name="words")
        sentences = last(words(x, mask=keep, train=train)[1], keep, both_ends=self.bidirectional)
        keep = jnp.any(keep, axis=-1)
        states = RNN(self.cell, self.num_layers, False, self.dropout_rate, name="sentences")(
            sentences, mask=keep, train=train
        )[1]
        return Memory(states, keep, last(states, keep))


class HierarchicalEncoderDecoder(EncoderDecoder):
    """An answer to a dialogue: an ``EncoderDecoder`` that reads sentences ``[B, N, T]``, of ``[B, N]`` words each.

    With ``context="attention"`` the decoder looks at the sentences (Serban et al., 2016, without attention).

    >>> import jax
    >>> model = HierarchicalEncoderDecoder(source_vocab_size=9, target_vocab_size=9, cell=GRU(5), embedding_dim=4)
    >>> dialogue, answer = jnp.ones((2, 3, 6), int), jnp.ones((2, 4), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), dialogue, answer)[0].shape
    (2, 4, 9)
    """

    encoder_class: ClassVar[type[nn.Module]] = HierarchicalEncoder


def _embed_sentences(
    x: ArrayLike, lengths: ArrayLike | None, vocabulary: int | None, features: int, dtype: Any
) -> tuple[Array, Array]:
    x, keep = embed(x, lengths, vocabulary, features, dtype)
    if keep.ndim < 2:
        raise ValueError(f"a document is tokens [..., N, T], sentences of words; came {keep.shape}")
    return x, keep
