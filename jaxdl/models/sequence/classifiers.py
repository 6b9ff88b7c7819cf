"""Sequence classifiers: averaged words, a recurrent network, convolutions over time; and a tagger of every word.

A sequence is tokens ``[..., T]`` (integers below ``vocab_size``), which are embedded, or with ``vocab_size=None`` the
vectors ``[..., T, D]`` themselves. ``lengths`` ``[...]`` are the numbers of valid steps; the rest is padding, which
changes neither an output nor a gradient. The computation is in ``dtype``.
"""

from collections.abc import Sequence
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_one_of, former_dropout, renamed_fields
from jaxdl.models.layers import collect, output_layer
from jaxdl.models.sequence.layers import RENAMED_FIELDS, embed, last, pool
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import LSTM, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike

POOLINGS = ("last", "mean", "max")

Output = Array | tuple[Array, dict[str, Array]]


@renamed_fields(
    vocabulary="vocab_size",
    embedding="embedding_dim",
    hidden="hidden_sizes",
    **former_dropout("word_dropout_rate", prefix="word_"),
)
class AveragingNetwork(linen.Module):
    """A network on the mean of the word vectors, whatever their order (Iyyer et al., 2015)::

        z = sum_w r_w v_w / sum_w r_w        r_w ~ Bernoulli(p) in training, 1 in testing
        h_k = g(h_(k-1) W_k + b_k)           h_0 = z

    where ``v_w`` are the vectors of the words and ``p`` is ``1 - word_dropout_rate``: whole words are dropped, which
    trains on many subsets of a text and reduces the noise of words without meaning. An empty sequence has ``z = 0``.
    With empty ``hidden_sizes`` the network is linear in the words.

    Intermediates are ``embedding``, ``pooled`` (``z``), ``hidden1``, ``hidden2``, ...

    >>> model = AveragingNetwork(vocab_size=9, embedding_dim=4, hidden_sizes=(3,))
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.array([[1, 2, 0]]), lengths=jnp.array([2]))
    >>> {name: layer["kernel"].shape for name, layer in shapes["params"].items() if name != "embedding"}
    {'hidden1': (4, 3), 'output': (3, 2)}
    """

    vocab_size: int | None
    num_classes: int = 2
    embedding_dim: int = 64
    hidden_sizes: Sequence[int] = (64,)
    word_dropout_rate: float = 0.3
    activation: str | Activation = "relu"
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[..., num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, mask = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "embedding", x)
        if train and self.word_dropout_rate > 0:
            # Time is the leading axis of the draw, so that more padding behind it changes no draw.
            shape = (mask.shape[-1], *mask.shape[:-1])
            retained = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.word_dropout_rate, shape)
            mask = mask & einops.rearrange(retained, "t ... -> ... t")
        x = collect(out, "pooled", pool(x, mask, "mean"))
        activation = get_activation(self.activation)
        for layer, width in enumerate(self.hidden_sizes, start=1):
            x = collect(
                out, f"hidden{layer}", activation(linen.Dense(width, dtype=self.dtype, name=f"hidden{layer}")(x))
            )
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


@renamed_fields(vocabulary="vocab_size", layers="num_layers", **RENAMED_FIELDS)
class RecurrentClassifier(linen.Module):
    """A recurrent network, and a linear layer on a vector pooled from its states by ``pooling``:

    - "last": the state after the last word; in both directions, beside the backward state at the first word;
    - "mean" and "max": over the states of all words, element by element.

    ``dropout_rate`` applies to the word vectors, between layers and before the output. Intermediates are ``embedding``,
    ``states`` ``[..., T, H]`` (0 in the padding) and ``pooled``.

    >>> model = RecurrentClassifier(vocab_size=9, cell=LSTM(5), embedding_dim=4, bidirectional=True)
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 3), int))
    >>> shapes["params"]["output"]["kernel"].shape
    (10, 2)
    """

    vocab_size: int | None
    num_classes: int = 2
    embedding_dim: int = 64
    cell: Cell = LSTM(64)
    num_layers: int = 1
    bidirectional: bool = False
    pooling: str = "last"
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[..., num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, the lengths do not fit it, or the pooling is unknown.
        """
        check_one_of("pooling", self.pooling, POOLINGS)
        x, mask = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "embedding", x)
        x = collect(out, "states", _run_rnn(self, x, lengths, train))
        x = last(x, mask, both_ends=self.bidirectional) if self.pooling == "last" else pool(x, mask, self.pooling)
        x = collect(out, "pooled", Dropout(self.dropout_rate)(x, train=train))
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


@renamed_fields(vocabulary="vocab_size", filters="num_filters", **RENAMED_FIELDS)
class ConvolutionalClassifier(linen.Module):
    """Convolutions of several widths over time, their maxima, and a linear layer (Kim, 2014)::

        c_t = g(sum_u x_(t+u) K_u + b)       u = 0 .. w - 1, at t = 1 .. n - w + 1 of n words
        z = max_t c_t                        for each width w, side by side

    A sequence shorter than a kernel is one window, padded with zeros. Intermediates are ``embedding``, ``pooled``
    (``z``) and ``width3``, ... for each width: the ``c_t`` at every word, also of windows that reach into the padding,
    which ``z`` leaves out.

    >>> model = ConvolutionalClassifier(vocab_size=9, embedding_dim=4, num_filters=5, widths=(2, 3))
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 3), int))
    >>> shapes["params"]["width3"]["kernel"].shape, shapes["params"]["output"]["kernel"].shape
    ((3, 4, 5), (10, 2))
    """

    vocab_size: int | None
    num_classes: int = 2
    embedding_dim: int = 64
    num_filters: int = 64
    widths: Sequence[int] = (3, 4, 5)
    dropout_rate: float = 0.5
    activation: str | Activation = "relu"
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[..., num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, mask = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        out: dict[str, Array] = {}
        x, maxima = collect(out, "embedding", x), []
        activation = get_activation(self.activation)
        count = jnp.sum(mask, axis=-1, keepdims=True)
        step = jnp.arange(mask.shape[-1]).reshape((1,) * (mask.ndim - 1) + (-1,))
        for width in self.widths:
            name = f"width{width}"
            conv = Conv(self.num_filters, (width,), padding=[(0, width - 1)], dtype=self.dtype, name=name)
            y = collect(out, name, activation(conv(x)))
            maxima.append(pool(y, step <= jnp.maximum(count - width, 0), "max"))
        x = collect(out, "pooled", jnp.concatenate(maxima, axis=-1))
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


@renamed_fields(vocabulary="vocab_size", layers="num_layers", **RENAMED_FIELDS)
class Tagger(linen.Module):
    """A label for every word: a recurrent network, and a linear layer on each of its states.

    In one direction a tag depends on the words up to its own; in both, also on those that follow. ``dropout_rate``
    applies to the word vectors, between layers and before the output. Intermediates are ``embedding`` and ``states``.

    >>> model = Tagger(vocab_size=9, num_classes=3, embedding_dim=4, cell=LSTM(5))
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((2, 6), int))[0].shape
    (2, 6, 3)
    """

    vocab_size: int | None
    num_classes: int
    embedding_dim: int = 64
    cell: Cell = LSTM(64)
    num_layers: int = 1
    bidirectional: bool = True
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[..., T, num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, _ = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        out: dict[str, Array] = {}
        x = collect(out, "embedding", x)
        x = collect(out, "states", _run_rnn(self, x, lengths, train))
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


def _run_rnn(model: RecurrentClassifier | Tagger, x: Array, lengths: ArrayLike | None, train: bool) -> Array:
    """Run the recurrent network of a model, named ``rnn``, with dropout of its input; outputs are 0 in the padding."""
    x = Dropout(model.dropout_rate)(x, train=train)
    rnn = RNN(model.cell, model.num_layers, model.bidirectional, model.dropout_rate, name="rnn")
    return rnn(x, lengths=None if lengths is None else jnp.asarray(lengths), train=train)[1]
