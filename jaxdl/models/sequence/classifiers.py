"""Networks that read a sequence: words averaged, a recurrent net, convolutions over time; and a tagger of every word.

A sequence is tokens ``[..., T]`` (integers below ``vocabulary``), which are embedded as vectors, or with
``vocabulary=None`` the vectors ``[..., T, D]`` themselves. ``lengths`` ``[...]`` says how many of the ``T`` are the
sequence; what comes after is padding, and whatever stands there changes neither an output nor a gradient. The
computation is in ``dtype``.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import LSTM, Cell
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike

POOLINGS = ("last", "mean", "max")

Output = Array | tuple[Array, dict[str, Array]]


class AveragingNetwork(nn.Module):
    """The mean of the words, which knows nothing of their order, and a network on it (Iyyer et al., 2015)::

        z = sum_w r_w v_w / sum_w r_w        r_w ~ Bernoulli(p) in training, 1 in testing
        h_k = g(h_(k-1) W_k + b_k)           h_0 = z

    where ``v_w`` are the vectors of the words and ``p`` is ``1 - word_dropout_rate``: words are dropped whole, so a
    review is learned from many of its parts, and the noise of words without meaning is reduced. A sequence without
    words has ``z = 0``. Without ``hidden_sizes`` layers the network is linear in the words.

    Features are ``embedding``, ``pooled`` (``z``), ``hidden1``, ``hidden2``, ...

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

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[..., num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, keep = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        features = {"embedding": x}
        if train and self.word_dropout_rate > 0:
            # Time is drawn first, so that more padding behind it changes no draw.
            shape = (keep.shape[-1], *keep.shape[:-1])
            retained = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.word_dropout_rate, shape)
            keep = keep & jnp.moveaxis(retained, 0, -1)
        x = features["pooled"] = pool(x, keep, "mean")
        activation = get_activation(self.activation)
        for layer, width in enumerate(self.hidden_sizes, start=1):
            x = features[f"hidden{layer}"] = activation(nn.Dense(width, dtype=self.dtype, name=f"hidden{layer}")(x))
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_intermediates else logits


class RecurrentClassifier(nn.Module):
    """A recurrent network reads the sequence, and a linear layer reads one vector of it, by ``pooling``

    - "last": the state after the last word; in both directions, also the one that came back to the first word;
    - "mean" and "max": of the states after every word, number by number.

    ``dropout_rate`` is that of dropout on the word vectors, between layers and before the output. Features are
    ``embedding_dim``, ``states`` ``[..., T, H]`` (0 in the padding) and ``pooled``.

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

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[..., num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, the lengths do not fit it, or the pooling is unknown.
        """
        _check_pooling(self.pooling)
        x, keep = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        features = {"embedding": x}
        x = features["states"] = _recur(self, x, lengths, train)
        x = last(x, keep, both_ends=self.bidirectional) if self.pooling == "last" else pool(x, keep, self.pooling)
        x = features["pooled"] = Dropout(self.dropout_rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_intermediates else logits


class ConvolutionalClassifier(nn.Module):
    """Convolutions of several widths over time, the largest answer of each, and a linear layer (Kim, 2014)::

        c_t = g(sum_u x_(t+u) K_u + b)       u = 0 .. w - 1, at t = 1 .. n - w + 1 of n words
        z = max_t c_t                        for each width w, side by side

    A sequence shorter than a kernel is one window, filled up with zeros. Features are ``embedding``, ``pooled`` (``z``)
    and ``width3``, ... for each width: the ``c_t``, one at every word, of which those that see padding do not count.

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

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[..., num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, keep = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        features, parts = {"embedding": x}, []
        activation = get_activation(self.activation)
        count = jnp.sum(keep, axis=-1, keepdims=True)
        for width in self.widths:
            name = f"width{width}"
            conv = Conv(self.num_filters, (width,), padding=[(0, width - 1)], dtype=self.dtype, name=name)
            answers = activation(conv(x))
            places = jnp.arange(keep.shape[-1]).reshape((1,) * (keep.ndim - 1) + (-1,))
            parts.append(pool(answers, places <= jnp.maximum(count - width, 0), "max"))
            features[name] = answers
        x = features["pooled"] = jnp.concatenate(parts, axis=-1)
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_intermediates else logits


class Tagger(nn.Module):
    """A label for every word: a recurrent network, and a linear layer on its state at each time.

    In one direction it answers while it reads, from what came before alone; in both, a word's tag may depend on what
    follows. ``dropout_rate`` is that of dropout on the word vectors, between layers and before the output.
    Features are ``embedding`` and ``states``.

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

    @nn.compact
    def __call__(
        self, x: ArrayLike, lengths: ArrayLike | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[..., T, num_classes]`` of tokens ``[..., T]`` or vectors ``[..., T, D]``.

        Raises:
            ValueError: x is of the wrong kind, or the lengths do not fit it.
        """
        x, _ = embed(x, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        features = {"embedding": x}
        x = features["states"] = _recur(self, x, lengths, train)
        x = Dropout(self.dropout_rate)(x, train=train)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_intermediates else logits


def pool(x: Array, keep: Array, pooling: str) -> Array:
    """Return the "mean" or the "max" over the true times, ``[..., T, D]`` to ``[..., D]``; 0 where there are none.

    >>> pool(jnp.array([[1.0], [4.0], [9.0]]), jnp.array([True, True, False]), "mean").tolist()
    [2.5]
    """
    keep = keep[..., None]
    if pooling == "mean":
        count = jnp.maximum(jnp.sum(keep, axis=-2), 1)
        total = jnp.sum(jnp.where(keep, widen(x), 0), axis=-2)
        return (total / count.astype(total.dtype)).astype(x.dtype)
    largest = jnp.max(jnp.where(keep, x, -jnp.inf), axis=-2)
    return jnp.where(jnp.any(keep, axis=-2), largest, 0)


def last(y: Array, keep: Array, *, both_ends: bool = False) -> Array:
    """Return the output at the last true time, ``[..., T, H]`` to ``[..., H]``; where there is none that of the last.

    With ``both_ends`` the second half of ``H`` is that of a backward run, whose last output is at the first true time.

    >>> last(jnp.array([[1.0], [4.0], [9.0]]), jnp.array([True, True, False])).tolist()
    [4.0]
    """

    def at(y: Array, time: Array) -> Array:
        return jnp.take_along_axis(y, time[..., None, None], axis=-2)[..., 0, :]

    end = keep.shape[-1] - 1 - jnp.argmax(keep[..., ::-1], axis=-1)
    if not both_ends:
        return at(y, end)
    half = y.shape[-1] // 2
    return jnp.concatenate([at(y[..., :half], end), at(y[..., half:], jnp.argmax(keep, axis=-1))], axis=-1)


def _recur(model: RecurrentClassifier | Tagger, x: Array, lengths: ArrayLike | None, train: bool) -> Array:
    """Run the recurrent network of a model, called ``rnn``, with dropout at its input; padding gives 0."""
    x = Dropout(model.dropout_rate)(x, train=train)
    rnn = RNN(model.cell, model.num_layers, model.bidirectional, model.dropout_rate, name="rnn")
    return rnn(x, lengths=lengths, train=train)[1]


def embed(
    x: ArrayLike, lengths: ArrayLike | None, vocabulary: int | None, features: int, dtype: Any = None
) -> tuple[Array, Array]:
    """Return the vectors ``[..., T, D]``, 0 in the padding, and which times are true, ``[..., T]``.

    To be called in a compact module, which then has a layer ``embedding``.

    Raises:
        ValueError: x is of the wrong kind, or the lengths do not fit it.
    """
    x = jnp.asarray(x)
    kind, rank = (jnp.floating, 2) if vocabulary is None else (jnp.integer, 1)
    if x.ndim < rank or not jnp.issubdtype(x.dtype, kind):
        raise ValueError(
            f"with vocabulary={vocabulary}, {'tokens [..., T], integers' if vocabulary else 'vectors [..., T, D]'} are "
            f"expected; came {x.shape} of {x.dtype}: tokens need the size of their vocabulary, vectors vocabulary=None"
        )
    shape = x.shape[: x.ndim - rank + 1]
    if lengths is not None and jnp.shape(lengths) != shape[:-1]:
        raise ValueError(f"lengths must be one for each sequence, {shape[:-1]}; came {jnp.shape(lengths)}")
    keep = jnp.ones(shape, bool) if lengths is None else valid_steps(lengths, shape[-1])
    if vocabulary is not None:
        x = nn.Embed(vocabulary, features, dtype, name="embedding")(x)
    elif dtype is not None:
        x = x.astype(dtype)
    return jnp.where(keep[..., None], x, jnp.zeros((), x.dtype)), keep


def _check_pooling(pooling: str) -> None:
    if pooling not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}; came {pooling!r}")
