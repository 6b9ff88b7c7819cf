"""Recurrent encoder-decoders: one network reads a sequence, another writes one, and may look at what was read.

An encoder makes a ``Memory`` of the source; a decoder is a language model of the target that starts from it. How much
it sees is its ``context``:

- "initial": one vector of the whole source, from which the first state is made (Sutskever et al., 2014);
- "every step": that vector again beside every word (Cho et al., 2014);
- "attention": at every word a mean of its own of all the encoder's states (Bahdanau et al., 2015).

In training the decoder reads the true target, one place behind, in one scan over time. ``step_function`` makes of it
the step that ``decode`` takes. Padding of the source changes neither a result nor a gradient; what stands behind the
end of a target changes nothing before it. The computation is in ``dtype``.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import check_tokens
from jaxdl.models.sequence.classifiers import embed, last
from jaxdl.nn.attention.scores import AdditiveScore, Score, ScoreParameters
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.attention_cell import AttentionCell
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.nn.recurrent.modules import RNN, CellParameters
from jaxdl.nn.recurrent.scanning import scan
from jaxdl.typing import Array, ArrayLike, PyTree

CONTEXTS = ("initial", "every step", "attention")

Output = Array | tuple[Array, dict[str, Any]]


class Memory(NamedTuple):
    """What was read: the states ``[B, S, E]``, which of them are no padding ``[B, S]``, and one vector ``[B, E]``."""

    states: Array
    keep: Array
    summary: Array


class DecoderCarry(NamedTuple):
    """The states of the decoder's layers, and what it sees of the source, which does not change: with attention the
    keys, the values ``[B, S, E]`` and ``keep`` ``[B, S]``; the vector ``[B, E]``; or nothing.
    """

    layers: tuple[PyTree, ...]
    seen: tuple[Array, ...]


class Encoder(nn.Module):
    """A recurrent network over a source, tokens ``[B, S]`` or with ``vocabulary=None`` vectors ``[B, S, D]``.

    The vector of the whole is the state after the last word, beside the one that came back to the first word where the
    network reads in both directions.
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
        """Read a source.

        Raises:
            ValueError: it is of the wrong kind, or the lengths do not fit it.
        """
        x, keep = embed(source, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        x = Dropout(self.dropout_rate)(x, train=train)
        rnn = RNN(self.cell, self.num_layers, self.bidirectional, self.dropout_rate, name="rnn")
        states = rnn(x, lengths=lengths, train=train)[1]
        return Memory(states, keep, last(states, keep, both_ends=self.bidirectional))


class Decoder(nn.Module):
    """A language model that starts from a ``Memory``, whoever made it::

        h_0 = tanh(m B + b)               of the memory's vector m; of every layer, and of an LSTM's memory too
        h_t = cell(h_(t-1), [e_t; c_t])   c_t is nothing, m, or what attention gives, by ``context``
        p(y_(t+1) | y_1 .. y_t, source) = softmax([h_t; c_t] V + d)

    where ``e_t`` is the embedded ``y_t``. With more layers, each reads the ``h`` of the one below; the first attends.
    """

    vocab_size: int
    embedding_dim: int = 64
    cell: Cell = GRU(64)
    num_layers: int = 1
    context: str = "attention"
    score: Score = AdditiveScore()
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Name the parts."""
        if self.context not in CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(CONTEXTS)}; came {self.context!r}")
        self.embed = nn.Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        width = self.num_layers * sum(leaf.shape[-1] for leaf in self._leaves())
        self.initial = nn.Dense(width, dtype=self.dtype)
        self.parameters = [CellParameters(self.cell, name=f"layer{index}") for index in range(self.num_layers)]
        self.score_parameters = ScoreParameters(self.score, name="score")
        self.dropout = Dropout(self.dropout_rate)
        self.output = nn.Dense(self.vocab_size, dtype=self.dtype)

    def begin(self, memory: Memory) -> DecoderCarry:
        """Return the state before the first word; what attention needs of the keys alone is done here, once."""
        treedef, leaves = jax.tree.structure(self._carry()), self._leaves()
        parts = jnp.tanh(self.initial(memory.summary))
        widths = [leaf.shape[-1] for leaf in leaves] * self.num_layers
        parts = jnp.split(parts, [sum(widths[: n + 1]) for n in range(len(widths) - 1)], axis=-1)
        layers = [treedef.unflatten(parts[n : n + len(leaves)]) for n in range(0, len(parts), len(leaves))]
        if self.context == "attention":
            keys = self.score.keys(self._score(memory.states.shape[-1]), memory.states)
            return DecoderCarry(tuple(layers), (keys, memory.states, memory.keep))
        return DecoderCarry(tuple(layers), (memory.summary,) if self.context == "every step" else ())

    def __call__(self, tokens: Array, carry: DecoderCarry, train: bool = False) -> tuple[Array, dict[str, Any]]:
        """Return the logits ``[B, T, V]`` of what follows each of the tokens ``[B, T]``, and the features.

        Features are ``embedding``, ``states``, the ``carry`` after the last token, ``context`` ``[B, T, E]`` where one
        is read at every step, and with attention ``attention``, the weights ``[B, T, S]``.
        """
        features: dict[str, Any] = {"embedding": self.embed(tokens)}
        x = self.dropout(features["embedding"], train=train)
        state, x, looked = self._first(x, carry)
        layers = [state]
        for parameters, before in zip(self.parameters[1:], carry.layers[1:], strict=True):
            x = self.dropout(x, train=train)
            state, x = scan(self.cell, parameters(x.shape[-1]), x, before)
            layers.append(state)
        features |= {"states": x, "carry": DecoderCarry(tuple(layers), carry.seen), **looked}
        if looked:
            x = jnp.concatenate([x, looked["context"]], axis=-1)
        return self.output(self.dropout(x, train=train)), features

    def _first(self, x: Array, carry: DecoderCarry) -> tuple[PyTree, Array, dict[str, Array]]:
        """Run the first layer, which alone reads the context; return its state, its outputs and what it saw."""
        state, parameters = carry.layers[0], self.parameters[0]
        if self.context == "initial":
            return *scan(self.cell, parameters(x.shape[-1]), x, state), {}
        if self.context == "every step":
            (summary,) = carry.seen
            context = jnp.broadcast_to(summary[:, None], (*x.shape[:2], summary.shape[-1]))
            x = jnp.concatenate([x, context], axis=-1)
            return *scan(self.cell, parameters(x.shape[-1]), x, state), {"context": context}
        keys, values, keep = carry.seen
        width = values.shape[-1]
        cell = AttentionCell(self.cell, self.score, self._score(width), keys, values, keep)
        state, y = scan(cell, parameters(x.shape[-1] + width), x, state)
        h, context, weights = cell.split(y)
        return state, h, {"context": context, "attention": weights}

    def _score(self, key_features: int) -> dict[str, Array]:
        parameters = self.score_parameters(self.cell.hidden_size, key_features)
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype or leaf.dtype), parameters)

    def _carry(self) -> PyTree:
        return jax.eval_shape(lambda: self.cell.init_carry((1,)))

    def _leaves(self) -> list[jax.ShapeDtypeStruct]:
        return jax.tree.leaves(self._carry())


class EncoderDecoder(nn.Module):
    """Sequence to sequence: an ``Encoder`` and a ``Decoder``, called ``encoder`` and ``decoder``.

    ``source_vocabulary=None`` is for sources that are vectors. ``decoder_cell`` is the encoder's ``cell`` unless it is
    given. ``dropout_rate`` is that of dropout on the word vectors, between layers and before the output.

    >>> model = EncoderDecoder(source_vocab_size=9, target_vocab_size=7, cell=GRU(5), embedding_dim=4)
    >>> source, target_in = jnp.ones((2, 6), int), jnp.ones((2, 3), int)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), source, target_in)
    >>> logits.shape, variables["params"]["decoder"]["score"]["key_kernel"].shape
    ((2, 3, 7), (10, 64))
    """

    source_vocab_size: int | None
    target_vocab_size: int
    cell: Cell = GRU(64)
    decoder_cell: Cell | None = None
    embedding_dim: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    context: str = "attention"
    score: Score = AdditiveScore()
    dropout_rate: float = 0.0
    dtype: Any = None
    encoder_class: ClassVar[type[nn.Module]] = Encoder

    def setup(self):
        """Make both networks."""
        if self.num_layers < 1:
            raise ValueError(f"both networks have at least one layer; got num_layers={self.num_layers}")
        read = (self.source_vocab_size, self.embedding_dim, self.cell, self.num_layers, self.bidirectional)
        self.encoder = self.encoder_class(*read, self.dropout_rate, self.dtype)
        self.decoder = Decoder(
            self.target_vocab_size,
            self.embedding_dim,
            self.cell if self.decoder_cell is None else self.decoder_cell,
            self.num_layers,
            self.context,
            self.score,
            self.dropout_rate,
            self.dtype,
        )

    def __call__(
        self,
        source: ArrayLike,
        target_in: ArrayLike,
        source_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Output:
        """Return the logits ``[B, T, V]`` of what follows each token of ``target_in`` ``[B, T]``.

        Features are those of the decoder, and ``memory``.

        Args:
            source: tokens ``[B, S]`` or vectors ``[B, S, D]``.
            target_in: the true target, one place behind: a start mark, and all tokens but the last.
            source_lengths: ``[B]``; what comes after is padding.
            train: drop, with the random numbers of the collection ``"dropout"``.
            return_intermediates: return ``(logits, features)``.

        Raises:
            ValueError: source and target are of the wrong kind or do not fit each other, or the context is unknown.
        """
        target_in = check_tokens("target_in", target_in)
        memory = self.encode(source, source_lengths, train)
        if memory.summary.shape[:-1] != target_in.shape[:1]:
            raise ValueError(
                f"source must be tokens [B, S] or vectors [B, S, D], and target_in [B, T], of one B; came "
                f"{jnp.shape(source)} and {target_in.shape}"
            )
        logits, features = self.decoder(target_in, self.decoder.begin(memory), train)
        return (logits, {"memory": memory, **features}) if return_intermediates else logits

    def encode(self, source: ArrayLike, source_lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Read a source."""
        return self.encoder(source, source_lengths, train)

    def begin(self, source: ArrayLike, source_lengths: ArrayLike | None = None) -> DecoderCarry:
        """Read a source and return the state before the first word of the target, for ``step_function``."""
        return self.decoder.begin(self.encode(source, source_lengths))

    def step(self, carry: DecoderCarry, token: Array) -> tuple[DecoderCarry, Array]:
        """Read one token ``[B]``; return the state after it and the logits ``[B, V]`` of the next."""
        logits, features = self.decoder(token[:, None], carry)
        return features["carry"], logits[:, 0]


def step_function(model: nn.Module, variables: PyTree) -> Callable[[PyTree, Array], tuple[PyTree, Array]]:
    """Make of an encoder-decoder the step that ``decode`` takes, ``(carry, token [B]) -> (carry, logits [B, V])``.

    The first carry is ``model.apply(variables, source, source_lengths, method="begin")``.

    >>> from jaxdl import decode
    >>> model = EncoderDecoder(source_vocab_size=9, target_vocab_size=7, cell=GRU(5), embedding_dim=4)
    >>> source = jnp.ones((2, 6), int)
    >>> def translate(variables):
    ...     carry = model.apply(variables, source, method="begin")
    ...     return decode.greedy(step_function(model, variables), carry, jnp.array([2, 2]), length=8, end=3).tokens
    >>> jax.eval_shape(translate, jax.eval_shape(model.init, jax.random.key(0), source, source)).shape
    (2, 8)
    """

    def step(carry: PyTree, token: Array) -> tuple[PyTree, Array]:
        return model.apply(variables, carry, token, method="step")

    return step
