"""The pointer-generator (See et al., 2017): an encoder-decoder that generates words, or copies them from its source.

Words of a source that are not among the ``V`` of the vocabulary have the ids ``V, V + 1, ...``, in sources and in
targets: those of `jaxdl.data.Vocabulary.extend`. They are read as the unknown word, and can be copied alone.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_indices
from jaxdl.models.layers import Embed, check_tokens, collect
from jaxdl.models.sequence.encoder_decoder import (
    AttendedSource,
    Encoder,
    SequenceToSequence,
    initial_states,
    state_size,
)
from jaxdl.nn import initializers
from jaxdl.nn.activations import softmax
from jaxdl.nn.attention.masking import clear_hidden, padding_mask
from jaxdl.nn.attention.pointer import copy_probabilities, mix_copies
from jaxdl.nn.attention.scores import tanh_scores
from jaxdl.nn.dense import linear
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import LSTM, Cell
from jaxdl.nn.recurrent.cells.base import Parameters, Projected, Shape, Shapes
from jaxdl.nn.recurrent.modules import CellParameters
from jaxdl.nn.recurrent.scanning import scan
from jaxdl.typing import Array, ArrayLike, PyTree


class PointerMemory(NamedTuple):
    """An encoded source with its tokens: a `Memory`, and ``tokens`` ``[B, S]``, 0 in the padding."""

    states: Array
    mask: Array
    summary: Array
    tokens: Array


class PointerState(NamedTuple):
    """What changes with every token: the state of the cell, the context ``[B, E]`` and the coverage ``[B, S]``."""

    cell: PyTree
    context: Array
    coverage: Array


class PointerCarry(NamedTuple):
    """The carry of a `PointerDecoder`: a `PointerState`, and the source and its tokens, which do not change."""

    state: PointerState
    source: AttendedSource
    tokens: Array


class PointerEncoder(Encoder):
    """An `Encoder` that reads tokens beyond its vocabulary as ``unk_id``, and keeps them in a `PointerMemory`.

    Attributes:
        extra_size: the number of ids beyond the vocabulary.
        unk_id: the token of unknown words.
    """

    extra_size: int = 0
    unk_id: int = 1

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False
    ) -> PointerMemory:
        """Encode tokens ``[B, S]``.

        Raises:
            ValueError: they are no integers ``[B, S]``, or the lengths do not fit them.
        """
        source = check_tokens("source", source)
        memory = super().__call__(_without_extra(source, self), lengths, train)
        return PointerMemory(*memory, tokens=jnp.where(memory.mask, source, 0))


@dataclass(frozen=True, eq=False)
class PointerCell:
    """A cell fed with the last context, then additive attention by its output and the coverage::

        h_t  = cell(h_(t-1), [e_t; c_(t-1)])
        a_ts = softmax_s(tanh(h_t W + k_s U + n_ts w + b) v)      n_ts = sum_(u < t) a_us
        c_t  = sum_s a_ts k_s
        y_t  = [h_t; c_t; a_t]

    It takes the place of a cell in ``scan``.

    Attributes:
        cell: the inner cell.
        attention: the parameters of attention, see `AttentionParameters`.
        source: what attention sees; its keys are ``k U + b``.
    """

    cell: Cell
    attention: Parameters
    source: AttendedSource

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter, for inputs ``[..., input_size]``."""
        return self.cell.shapes(input_size + self.source.values.shape[-1])

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> PointerState:
        """Return the initial state, zeros."""
        length, width = self.source.values.shape[-2:]
        context, coverage = (jnp.zeros((*batch_shape, size), dtype) for size in (width, length))
        return PointerState(self.cell.init_carry(batch_shape, dtype), context, coverage)

    def project(self, parameters: Parameters, x: Array) -> Projected:
        """Compute the part of a step that needs ``x`` alone."""
        return self.cell.project({**parameters, "kernel": parameters["kernel"][: x.shape[-1]]}, x)

    def step(self, parameters: Parameters, carry: PointerState, projected: Projected) -> tuple[PointerState, Array]:
        """Compute the new state, and ``[h_t; c_t; a_t]``."""
        fed = self.cell.project({"kernel": parameters["kernel"][-carry.context.shape[-1] :]}, carry.context)
        state, h = self.cell.step(parameters, carry.cell, tuple(map(jnp.add, projected, fed)))
        p, keys = self.attention, self.source.keys
        if "coverage_kernel" in p:
            keys = keys + linear(carry.coverage[..., None], p["coverage_kernel"][None])  # [B, S, A]
        scores = tanh_scores((h @ p["query_kernel"])[:, None], keys, p["vector"])  # [B, 1, S]
        weights = softmax(scores, mask=padding_mask(self.source.mask))[:, 0].astype(h.dtype)
        context = jnp.einsum("bs,bse->be", weights, self.source.values)
        state = PointerState(state, context, carry.coverage + weights)
        return state, jnp.concatenate([h, context, weights], axis=-1)


class AttentionParameters(linen.Module):
    """The parameters of the attention of a `PointerCell`, returned by a linen module.

    Attributes:
        query_size: the width of ``h``.
        hidden_size: the number of hidden units, ``A``.
        coverage: whether the scores depend on the coverage.
        dtype: of the parameters that are returned.
    """

    query_size: int
    hidden_size: int
    coverage: bool
    dtype: Any = None

    @linen.compact
    def __call__(self, memory_size: int) -> Parameters:
        """Create or read the parameters for a memory of this width."""
        draw, size = initializers.lecun_normal(), self.hidden_size
        shapes: Shapes = {
            "query_kernel": (draw, (self.query_size, size)),
            "key_kernel": (draw, (memory_size, size)),
            "bias": (initializers.zeros, (size,)),
            "vector": (initializers.normal(size**-0.5), (size,)),
        }
        if self.coverage:
            shapes["coverage_kernel"] = (initializers.normal(size**-0.5), (size,))
        made = {name: self.param(name, draw, shape) for name, (draw, shape) in shapes.items()}
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype or leaf.dtype), made)


class PointerDecoder(linen.Module):
    """A language model of the target that generates or copies, see `PointerCell`::

        h_0 = tanh(m B + b)                       of the summary m
        q   = softmax(([h_t; c_t] V + d) V' + d')
        g   = sigmoid([c_t; h_t; e_t] w + b)      the probability of generating
        p(y_(t+1) = w | y_1 .. y_t, source) = g q_w + (1 - g) sum_(s: x_s = w) a_ts

    The fields are those of `PointerGenerator`.
    """

    vocab_size: int
    extra_size: int = 0
    unk_id: int = 1
    embedding_dim: int = 64
    cell: Cell = LSTM(64)
    coverage: bool = True
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Make the layers."""
        self.embed = Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        self.initial = linen.Dense(state_size(self.cell), dtype=self.dtype)
        self.parameters = CellParameters(self.cell, name="cell")
        size = self.cell.output_size
        self.attention = AttentionParameters(size, size, self.coverage, self.dtype)
        self.dropout = Dropout(self.dropout_rate)
        self.hidden = linen.Dense(size, dtype=self.dtype)
        self.output = linen.Dense(self.vocab_size, dtype=self.dtype)
        self.gate = linen.Dense(1, dtype=self.dtype)

    def init_carry(self, memory: PointerMemory) -> PointerCarry:
        """Make the carry before the first token, and compute the keys of attention once for all steps."""
        (cell,) = initial_states(self.cell, 1, jnp.tanh(self.initial(memory.summary)))
        values = clear_hidden(memory.states, padding_mask(memory.mask))
        p = self.attention(values.shape[-1])
        source = AttendedSource(linear(values, p["key_kernel"], p["bias"]), values, memory.mask)
        zeros = jnp.zeros_like(values[..., 0])
        return PointerCarry(PointerState(cell, jnp.zeros_like(values[..., 0, :]), zeros), source, memory.tokens)

    def __call__(self, tokens: Array, carry: PointerCarry, train: bool = False) -> tuple[Array, dict[str, Any]]:
        """Compute the log-probabilities ``[B, T, V + K]`` of the token after each of the tokens ``[B, T]``.

        Intermediates are ``embedding``, ``states``, ``context``, the weights ``attention`` ``[B, T, S]``, the
        ``generating`` probabilities ``g`` ``[B, T]``, and the ``carry`` after the last token.
        """
        out: dict[str, Any] = {}
        x = collect(out, "embedding", self.embed(_without_extra(tokens, self)))
        x = self.dropout(x, train=train)
        width = carry.source.values.shape[-1]
        cell = PointerCell(self.cell, self.attention(width), carry.source)
        # A PointerCell takes the place of a cell in a scan without being one.
        state, y = scan(cast(Cell, cell), self.parameters(x.shape[-1] + width), x, carry.state)
        h, context, weights = jnp.split(y, [self.cell.output_size, self.cell.output_size + width], axis=-1)
        out |= {"states": h, "context": context, "attention": weights, "carry": carry._replace(state=state)}
        hidden = self.dropout(self.hidden(jnp.concatenate([h, context], axis=-1)), train=train)
        gate = self.gate(jnp.concatenate([context, h, x], axis=-1))[..., 0]
        out["generating"] = jax.nn.sigmoid(gate)
        copied = copy_probabilities(weights, carry.tokens, self.vocab_size + self.extra_size)
        return mix_copies(self.output(hidden), gate, copied), out


class PointerGenerator(SequenceToSequence):
    """Document to summary by a `PointerEncoder` and a `PointerDecoder`; parameters ``encoder`` and ``decoder``.

    It returns log-probabilities in the place of logits: ``tasks.translation(model, coverage_weight=1.0)`` trains it,
    and ``models.step_function`` generates from it.

    Args:
        vocab_size: ``V``, of sources and targets.
        extra_size: ``K``, the largest number of unknown words of a source that can be copied.
        unk_id: the token of unknown words.
        cell: of both networks.
        embedding_dim: of the tokens; source and target have an embedding each.
        coverage: whether attention depends on its sum so far.
        dropout_rate: of the embedded tokens and before the output.
        dtype: of the computation.

    >>> model = PointerGenerator(vocab_size=9, extra_size=3, cell=LSTM(5), embedding_dim=4)
    >>> source, target_in = jnp.full((2, 6), 11), jnp.ones((2, 3), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), source, target_in)[0].shape
    (2, 3, 12)
    """

    vocab_size: int
    extra_size: int = 0
    unk_id: int = 1
    cell: Cell = LSTM(64)
    embedding_dim: int = 64
    coverage: bool = True
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Make both networks."""
        check_indices("unk_id", self.unk_id, self.vocab_size)
        shared: dict[str, Any] = {
            "extra_size": self.extra_size,
            "unk_id": self.unk_id,
            "cell": self.cell,
            "embedding_dim": self.embedding_dim,
            "dropout_rate": self.dropout_rate,
            "dtype": self.dtype,
        }
        self.encoder = PointerEncoder(self.vocab_size, **shared)
        self.decoder = PointerDecoder(self.vocab_size, coverage=self.coverage, **shared)


def _without_extra(tokens: Array, network: PointerEncoder | PointerDecoder) -> Array:
    """Replace the tokens of words that can be copied alone by that of unknown words; others stay, for the embedding."""
    size = network.vocab_size
    assert size is not None
    return jnp.where((tokens >= size) & (tokens < size + network.extra_size), network.unk_id, tokens)
