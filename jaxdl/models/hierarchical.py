"""Words make sentences, and sentences documents or dialogues: networks that read on both levels.

A source is tokens ``[..., N, T]``, ``N`` sentences of at most ``T`` words. ``lengths`` ``[..., N]`` says how many words
each has; a sentence without words is padding. Padding of either kind changes neither an output nor a gradient. The
computation is in ``dtype``, but for the weights of attention, which are at least float32.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.models.encoder_decoder import EncoderDecoder, Memory
from jaxdl.models.sequence import embed, last
from jaxdl.nn.attention import attend, padding_mask
from jaxdl.nn.cells import GRU, Cell
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent import RNN
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

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, keep: ArrayLike) -> tuple[Array, Array]:
        """Return the mean ``[..., D]`` of ``x`` ``[..., T, D]`` where ``keep`` ``[..., T]`` is not 0, and weights."""
        hidden = jnp.tanh(nn.Dense(self.features, dtype=self.dtype, name="hidden")(x))
        vector = self.param("vector", nn.initializers.normal(self.features**-0.5), (self.features,))
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

    ``retain_probability`` is that of dropout on the word vectors and on the sentences. Features are ``embedding``,
    ``word_states``, ``word_attention`` ``[..., N, T]``, ``sentences`` (``s``), ``sentence_states``,
    ``sentence_attention`` ``[..., N]`` and ``pooled`` (``v``).

    >>> import jax
    >>> model = HierarchicalAttentionNetwork(vocabulary=9, embedding=4, cell=GRU(5))
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, 3, 6), int))
    >>> shapes["params"]["sentences"]["layer0"]["forward"]["kernel"].shape
    (10, 15)
    """

    vocabulary: int | None
    num_classes: int = 2
    embedding: int = 64
    cell: Cell = GRU(50)
    sentence_cell: Cell | None = None
    attention: int = 64
    retain_probability: float = 1.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_features: bool = False
    ) -> Output:
        """Return the logits ``[..., num_classes]`` of documents ``[..., N, T]``, or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, keep = _embed_sentences(x, lengths, self.vocabulary, self.embedding, self.dtype)
        features: dict[str, Any] = {"embedding": x}
        x = Dropout(self.retain_probability)(x, train=train)
        x = features["word_states"] = RNN(self.cell, bidirectional=True, name="words")(x, mask=keep)[1]
        x, features["word_attention"] = AttentionPooling(self.attention, self.dtype, name="word_attention")(x, keep)
        features["sentences"], keep = x, jnp.any(keep, axis=-1)
        x = Dropout(self.retain_probability)(x, train=train)
        cell = self.cell if self.sentence_cell is None else self.sentence_cell
        x = features["sentence_states"] = RNN(cell, bidirectional=True, name="sentences")(x, mask=keep)[1]
        pooling = AttentionPooling(self.attention, self.dtype, name="sentence_attention")
        x, features["sentence_attention"] = pooling(x, keep)
        features["pooled"] = x
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_features else logits


class HierarchicalEncoder(nn.Module):
    """One network reads each sentence, another what they came to, one after the other (Sordoni et al., 2015).

    The memory has a state for each sentence, and the last of them as its vector.
    """

    vocabulary: int | None
    embedding: int = 64
    cell: Cell = GRU(64)
    layers: int = 1
    bidirectional: bool = True
    retain_probability: float = 1.0
    dtype: Any = None

    @nn.compact
    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Read tokens ``[..., N, T]`` or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: they are of the wrong kind, or the lengths do not fit them.
        """
        x, keep = _embed_sentences(source, lengths, self.vocabulary, self.embedding, self.dtype)
        x = Dropout(self.retain_probability)(x, train=train)
        words = RNN(self.cell, self.layers, self.bidirectional, self.retain_probability, name="words")
        sentences = last(words(x, mask=keep, train=train)[1], keep, both_ends=self.bidirectional)
        keep = jnp.any(keep, axis=-1)
        states = RNN(self.cell, self.layers, False, self.retain_probability, name="sentences")(
            sentences, mask=keep, train=train
        )[1]
        return Memory(states, keep, last(states, keep))


class HierarchicalEncoderDecoder(EncoderDecoder):
    """An answer to a dialogue: an ``EncoderDecoder`` that reads sentences ``[B, N, T]``, of ``[B, N]`` words each.

    With ``context="attention"`` the decoder looks at the sentences (Serban et al., 2016, without attention).

    >>> import jax
    >>> model = HierarchicalEncoderDecoder(source_vocabulary=9, target_vocabulary=9, cell=GRU(5), embedding=4)
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
