"""Documents: words make sentences, sentences make a document, and attention says which of them count."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.models.sequence import embed
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

    @nn.compact
    def __call__(self, x: Array, keep: ArrayLike) -> tuple[Array, Array]:
        """Return the mean ``[..., D]`` of ``x`` ``[..., T, D]`` where ``keep`` ``[..., T]`` is not 0, and weights."""
        hidden = jnp.tanh(nn.Dense(self.features, name="hidden")(x))
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

    and a linear layer on ``v``. A document is tokens ``[..., N, T]``, ``N`` sentences of at most ``T`` words;
    ``lengths`` ``[..., N]`` says how many words each has, and a sentence without words is padding. Padding of either
    kind changes neither an output nor a gradient. ``tasks.sequence_classification`` teaches it.

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

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_features: bool = False
    ) -> Output:
        """Return the logits ``[..., num_classes]`` of documents ``[..., N, T]``, or vectors ``[..., N, T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, keep = embed(x, lengths, self.vocabulary, self.embedding)
        if keep.ndim < 2:
            raise ValueError(f"a document is tokens [..., N, T], sentences of words; came {keep.shape}")
        features: dict[str, Any] = {"embedding": x}
        x = Dropout(self.retain_probability)(x, train=train)
        x = features["word_states"] = RNN(self.cell, bidirectional=True, name="words")(x, mask=keep)[1]
        x, features["word_attention"] = AttentionPooling(self.attention, name="word_attention")(x, keep)
        features["sentences"], keep = x, jnp.any(keep, axis=-1)
        x = Dropout(self.retain_probability)(x, train=train)
        cell = self.cell if self.sentence_cell is None else self.sentence_cell
        x = features["sentence_states"] = RNN(cell, bidirectional=True, name="sentences")(x, mask=keep)[1]
        x, features["sentence_attention"] = AttentionPooling(self.attention, name="sentence_attention")(x, keep)
        features["pooled"] = x
        logits = nn.Dense(self.num_classes, name="output")(x)
        return (logits, features) if return_features else logits
