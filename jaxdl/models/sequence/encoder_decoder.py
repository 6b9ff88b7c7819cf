"""Recurrent encoder-decoders: encode a source as a memory, and generate a target from it.

The decoder is a language model of the target. Its ``context`` selects how it sees the source:

- "initial": the summary vector of the source makes the initial state, and no more (Sutskever et al., 2014);
- "every_step": the summary vector is also an input at every step (Cho et al., 2014);
- "attention": every step has a context vector of its own, by attention over all states of the encoder (Bahdanau et al.,
  2015).

In training the decoder reads the true target, shifted right, in one scan over time. Padding of the source changes
neither a result nor a gradient; tokens after the end of a target change nothing before it.

Dimensions: ``B`` batch, ``S`` source length, ``T`` target length, ``E`` width of the memory, ``V`` target vocabulary.
"""

from typing import Any, ClassVar, NamedTuple, cast

import einops
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl.checks import check_one_of, check_positive_integer, renamed_fields
from jaxdl.models.layers import Embed, check_tokens, collect
from jaxdl.models.sequence.layers import RENAMED_FIELDS, embed, last
from jaxdl.nn.attention.masking import clear_hidden, padding_mask
from jaxdl.nn.attention.scores import AdditiveScore, Score, ScoreParameters
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.attention_cell import AttentionCell
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.nn.recurrent.modules import RNN, CellParameters
from jaxdl.nn.recurrent.scanning import scan
from jaxdl.typing import Array, ArrayLike, PyTree

CONTEXTS = ("initial", "every_step", "attention")

Output = Array | tuple[Array, dict[str, Any]]


class Memory(NamedTuple):
    """An encoded source.

    Attributes:
        states: ``[B, S, E]``.
        mask: ``[B, S]``, False for padding.
        summary: one vector for the whole source, ``[B, E]``.
    """

    states: Array
    mask: Array
    summary: Array


class AttendedSource(NamedTuple):
    """The source as attention sees it, constant over the steps.

    Attributes:
        keys: the part of the scores that depends on the memory alone, ``[B, S, ...]``.
        values: ``[B, S, E]``.
        mask: ``[B, S]``, False for padding.
    """

    keys: Array
    values: Array
    mask: Array


class DecoderCarry(NamedTuple):
    """The carry of a decoder.

    Attributes:
        layers: the states of its layers, which change with every token.
        source: what it sees of the source, which does not: an `AttendedSource` for "attention", the summary ``[B, E]``
            for "every_step", None for "initial".
    """

    layers: tuple[PyTree, ...]
    source: AttendedSource | Array | None


@renamed_fields(vocabulary="vocab_size", layers="num_layers", **RENAMED_FIELDS)
class Encoder(linen.Module):
    """A recurrent network over a source: tokens ``[B, S]``, or with ``vocab_size=None`` vectors ``[B, S, D]``.

    The summary is the state after the last token; in both directions, beside the backward state at the first token.
    """

    vocab_size: int | None
    embedding_dim: int = 64
    cell: Cell = GRU(64)
    num_layers: int = 1
    bidirectional: bool = True
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Encode a source.

        Raises:
            ValueError: it is of the wrong kind, or the lengths do not fit it.
        """
        x, mask = embed(source, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        x = Dropout(self.dropout_rate)(x, train=train)
        rnn = RNN(self.cell, self.num_layers, self.bidirectional, self.dropout_rate, name="rnn")
        _, states = rnn(x, lengths=None if lengths is None else jnp.asarray(lengths), train=train)
        return Memory(states, mask, last(states, mask, both_ends=self.bidirectional))


@renamed_fields(vocabulary="vocab_size", layers="num_layers", **RENAMED_FIELDS)
class Decoder(linen.Module):
    """A language model that starts from the `Memory` of any encoder::

        h_0 = tanh(m B + b)               of the summary m; for every layer, and an LSTM's memory too
        h_t = cell(h_(t-1), [e_t; c_t])   c_t is nothing, m, or the result of attention, by ``context``
        p(y_(t+1) | y_1 .. y_t, source) = softmax([h_t; c_t] V + d)

    where ``e_t`` is the embedded ``y_t``. Each further layer reads the ``h`` of the one below; the first attends.
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
        """Make the layers."""
        check_one_of("context", self.context, CONTEXTS)
        self.embed = Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        self.initial = linen.Dense(self.num_layers * state_size(self.cell), dtype=self.dtype)
        self.parameters = [CellParameters(self.cell, name=f"layer{index}") for index in range(self.num_layers)]
        self.score_parameters = ScoreParameters(self.score, name="score")
        self.dropout = Dropout(self.dropout_rate)
        self.output = linen.Dense(self.vocab_size, dtype=self.dtype)

    def init_carry(self, memory: Memory) -> DecoderCarry:
        """Make the carry before the first token, and compute the keys of attention once for all steps."""
        layers = initial_states(self.cell, self.num_layers, jnp.tanh(self.initial(memory.summary)))
        if self.context == "attention":
            values = clear_hidden(memory.states, padding_mask(memory.mask))
            keys = self.score.keys(self._score(values.shape[-1]), values)
            return DecoderCarry(layers, AttendedSource(keys, values, memory.mask))
        return DecoderCarry(layers, memory.summary if self.context == "every_step" else None)

    def __call__(self, tokens: Array, carry: DecoderCarry, train: bool = False) -> tuple[Array, dict[str, Any]]:
        """Compute the logits ``[B, T, V]`` of the token after each of the tokens ``[B, T]``, and the intermediates.

        Intermediates are ``embedding``, ``states``, the ``carry`` after the last token, ``context`` ``[B, T, E]`` where
        every step has one, and with attention its weights ``attention`` ``[B, T, S]``.
        """
        out: dict[str, Any] = {}
        x = collect(out, "embedding", self.embed(tokens))
        x = self.dropout(x, train=train)
        state, x, seen = self._first_layer(x, carry)
        states = [state]
        for parameters, before in zip(self.parameters[1:], carry.layers[1:], strict=True):
            x = self.dropout(x, train=train)
            state, x = scan(self.cell, parameters(x.shape[-1]), x, before)
            states.append(state)
        x = collect(out, "states", x)
        out |= {"carry": carry._replace(layers=tuple(states)), **seen}
        if seen:
            x = jnp.concatenate([x, seen["context"]], axis=-1)
        return self.output(self.dropout(x, train=train)), out

    def _first_layer(self, x: Array, carry: DecoderCarry) -> tuple[PyTree, Array, dict[str, Array]]:
        """Run the only layer that sees the source; return its state, its outputs and the context."""
        state, source = carry.layers[0], carry.source
        parameters = self.parameters[0]
        if isinstance(source, AttendedSource):
            width = source.values.shape[-1]
            cell = AttentionCell(self.cell, self.score, self._score(width), *source)
            # An AttentionCell takes the place of a cell in a scan without being one.
            state, y = scan(cast(Cell, cell), parameters(x.shape[-1] + width), x, state)
            h, context, weights = cell.split(y)
            return state, h, {"context": context, "attention": weights}
        seen = {}
        if source is not None:
            context = seen["context"] = einops.repeat(source, "b e -> b t e", t=x.shape[1])
            x = jnp.concatenate([x, context], axis=-1)
        state, y = scan(self.cell, parameters(x.shape[-1]), x, state)
        return state, y, seen

    def _score(self, key_size: int) -> dict[str, Array]:
        parameters = self.score_parameters(self.cell.hidden_size, key_size)
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype or leaf.dtype), parameters)


class SequenceToSequence(linen.Module):
    """The base class of models whose ``setup`` makes an ``encoder`` and a ``decoder``.

    The encoder maps ``(source, source_lengths, train)`` to a `Memory`. The decoder has ``init_carry(memory)``, and maps
    ``(tokens, carry, train)`` to logits and intermediates, among them the next ``carry``: see `Decoder`.
    """

    def __call__(
        self,
        source: ArrayLike,
        target_in: ArrayLike,
        source_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Output:
        """Compute the logits ``[B, T, V]`` of the token after each of ``target_in`` ``[B, T]``.

        Intermediates are those of the decoder, and ``memory``.

        Args:
            source: tokens ``[B, S]``, vectors ``[B, S, D]`` or whatever the encoder reads.
            target_in: the true target shifted right: ``bos_id``, and all tokens but the last.
            source_lengths: ``[B]``; what comes after is padding.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            return_intermediates: return ``(logits, intermediates)``.

        Raises:
            ValueError: source and target are of the wrong kind or do not fit each other, or the context is unknown.
        """
        target_in = check_tokens("target_in", target_in)
        memory = self.encoder(source, source_lengths, train)
        if memory.summary.shape[:-1] != target_in.shape[:1]:
            raise ValueError(
                "expected source [B, ...] and target_in [B, T] with the same B, got "
                f"{jnp.shape(source)} and {target_in.shape}"
            )
        logits, out = self.decoder(target_in, self.decoder.init_carry(memory), train)
        return (logits, {"memory": memory, **out}) if return_intermediates else logits

    def init_carry(self, source: ArrayLike, source_lengths: ArrayLike | None = None) -> Any:
        """Encode a source and make the carry before the first token of the target."""
        return self.decoder.init_carry(self.encoder(source, source_lengths))

    def step(self, carry: PyTree, token: Array) -> tuple[PyTree, Array]:
        """Map the carry and a token ``[B]`` to the next carry and logits ``[B, V]``."""
        logits, out = self.decoder(token[:, None], carry)
        return out["carry"], logits[:, 0]


@renamed_fields(
    source_vocabulary="source_vocab_size",
    target_vocabulary="target_vocab_size",
    layers="num_layers",
    **RENAMED_FIELDS,
)
class EncoderDecoder(SequenceToSequence):
    """Sequence to sequence: an `Encoder` and a `Decoder`, with parameters ``encoder`` and ``decoder``.

    Args:
        source_vocab_size: the number of source tokens; None for sources that are vectors.
        target_vocab_size: ``V``.
        cell: of the encoder.
        decoder_cell: of the decoder; None for ``cell``.
        embedding_dim: of the tokens of both languages.
        num_layers: of each network.
        bidirectional: whether the encoder runs in both directions.
        context: "initial", "every_step" or "attention", see `jaxdl.models.sequence.encoder_decoder`.
        score: of attention.
        dropout_rate: of the embedded tokens, between layers and before the output.
        dtype: of the computation.

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
    encoder_class: ClassVar[type[Encoder]] = Encoder

    def setup(self):
        """Make both networks."""
        check_positive_integer("num_layers", self.num_layers)
        shared: dict[str, Any] = {
            "embedding_dim": self.embedding_dim,
            "num_layers": self.num_layers,
            "dropout_rate": self.dropout_rate,
            "dtype": self.dtype,
        }
        self.encoder = self.encoder_class(
            self.source_vocab_size, cell=self.cell, bidirectional=self.bidirectional, **shared
        )
        self.decoder = Decoder(
            self.target_vocab_size,
            cell=self.cell if self.decoder_cell is None else self.decoder_cell,
            context=self.context,
            score=self.score,
            **shared,
        )


def state_size(cell: Cell) -> int:
    """Return the number of entries of a cell's state, ``2 H`` for an LSTM."""
    return sum(leaf.shape[-1] for leaf in jax.tree.leaves(jax.eval_shape(lambda: cell.init_carry((1,)))))


def initial_states(cell: Cell, num_layers: int, vector: Array) -> tuple[PyTree, ...]:
    """Split vectors ``[B, num_layers N]`` into the states of equal cells, each of ``N = state_size(cell)`` entries."""
    states = jax.eval_shape(lambda: (cell.init_carry((1,)),) * num_layers)
    ends = np.cumsum([leaf.shape[-1] for leaf in jax.tree.leaves(states)])
    return jax.tree.unflatten(jax.tree.structure(states), jnp.split(vector, ends[:-1], axis=-1))
