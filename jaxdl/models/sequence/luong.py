"""Luong's encoder-decoder (Luong et al., 2015): attention after the recurrence, and its result fed to the next step.

`Decoder`, after Bahdanau, attends with ``h_(t-1)`` and reads the context in the recurrence; `LuongDecoder` attends with
``h_t`` and reads ``h~_t = tanh([c_t; h_t] W_c)``, from which the token is predicted.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_one_of
from jaxdl.models.layers import Embed, collect
from jaxdl.models.sequence.encoder_decoder import (
    AttendedSource,
    Encoder,
    Memory,
    SequenceToSequence,
    initial_states,
    state_size,
)
from jaxdl.nn import initializers
from jaxdl.nn.activations import softmax
from jaxdl.nn.attention.local import gaussian_window, local_mask, predict_centers
from jaxdl.nn.attention.masking import clear_hidden, combine_masks, padding_mask
from jaxdl.nn.attention.scores import GeneralScore, Score, ScoreParameters
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import LSTM, Cell
from jaxdl.nn.recurrent.cells.base import Parameters, Projected, Shape, Shapes
from jaxdl.nn.recurrent.modules import CellParameters
from jaxdl.nn.recurrent.scanning import scan
from jaxdl.typing import Array, PyTree

LOCALITIES = ("global", "monotonic", "predictive")


class LuongState(NamedTuple):
    """What changes with every token: the states of the layers, ``h~`` ``[B, A]`` and the position ``[B, 1]``."""

    layers: tuple[PyTree, ...]
    attentional: Array
    position: Array


class LuongCarry(NamedTuple):
    """The carry of a `LuongDecoder`: a `LuongState`, and the source, which does not change."""

    state: LuongState
    source: AttendedSource


@dataclass(frozen=True, eq=False)
class LuongCell:
    """Stacked cells, then attention by the last one's output::

        h_t  = cell_L( .. cell_1(e_t; h~_(t-1)) .. )       h~_(t-1) only with input feeding
        a_ts = softmax_s(score(h_t, k_s))
        c_t  = sum_s a_ts v_s
        h~_t = tanh([c_t; h_t] W_c)
        y_t  = [h~_t; a_t]

    It takes the place of a cell in ``scan``; the parameters of layer ``l`` have names ``layerl_kernel`` and so on.

    Attributes:
        cell: of every layer.
        num_layers: ``L``.
        attentional_size: the width ``A`` of ``h~``.
        input_feeding: whether the first layer reads ``h~``.
        locality: see `LuongDecoder`.
        half_width: of the window of local attention.
        score: the score of a key for a query.
        score_parameters: of the score.
        source: what attention sees.
    """

    cell: Cell
    num_layers: int
    attentional_size: int
    input_feeding: bool
    locality: str
    half_width: int
    score: Score
    score_parameters: Parameters
    source: AttendedSource

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter, for inputs ``[..., input_size]``."""
        fed = self.attentional_size if self.input_feeding else 0
        sizes = [input_size + fed] + [self.cell.output_size] * (self.num_layers - 1)
        shapes: Shapes = {
            f"layer{index}_{name}": form
            for index, size in enumerate(sizes)
            for name, form in self.cell.shapes(size).items()
        }
        return shapes | attentional_shapes(
            self.cell.output_size, self.source.values.shape[-1], self.attentional_size, self.locality
        )

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> LuongState:
        """Return the initial state, zeros."""
        layers = (self.cell.init_carry(batch_shape, dtype),) * self.num_layers
        zeros = partial(jnp.zeros, dtype=dtype)
        return LuongState(layers, zeros((*batch_shape, self.attentional_size)), zeros((*batch_shape, 1)))

    def project(self, parameters: Parameters, x: Array) -> Projected:
        """Compute the part of the first layer's step that needs ``x`` alone."""
        first = _layer(parameters, 0)
        return self.cell.project({**first, "kernel": first["kernel"][: x.shape[-1]]}, x)

    def step(self, parameters: Parameters, carry: LuongState, projected: Projected) -> tuple[LuongState, Array]:
        """Compute the new state, and ``[h~_t; a_t]``."""
        first = _layer(parameters, 0)
        if self.input_feeding:
            fed = self.cell.project({"kernel": first["kernel"][-self.attentional_size :]}, carry.attentional)
            projected = tuple(map(jnp.add, projected, fed))
        state, h = self.cell.step(first, carry.layers[0], projected)
        layers = [state]
        for index in range(1, self.num_layers):
            state, h = self.cell(_layer(parameters, index), carry.layers[index], h)
            layers.append(state)
        weights = self._align(parameters, h, carry.position)  # [B, S]
        context = jnp.einsum("bs,bse->be", weights, self.source.values)
        attentional = jnp.tanh(jnp.concatenate([context, h], axis=-1) @ parameters["attentional_kernel"])
        state = LuongState(tuple(layers), attentional, carry.position + 1)
        return state, jnp.concatenate([attentional, weights], axis=-1)

    def _align(self, parameters: Parameters, h: Array, position: Array) -> Array:
        """Compute the weights ``a_t``, ``[B, S]``."""
        queries, mask = h[:, None], padding_mask(self.source.mask)
        keys, window = self.source.mask.shape[-1], None
        scores = self.score.scores(self.score_parameters, queries, self.source.keys)  # [B, 1, S]
        centers = position
        if self.locality == "predictive":
            lengths = jnp.sum(self.source.mask, axis=-1, dtype=h.dtype)
            centers = predict_centers(queries, lengths, parameters["position_kernel"], parameters["position_vector"])
            window = gaussian_window(centers, keys, self.half_width)
        if self.locality != "global":
            mask = combine_masks(mask, local_mask(centers, keys, self.half_width))
        weights = softmax(scores, mask=mask)
        return (weights if window is None else weights * window)[:, 0].astype(h.dtype)


def attentional_shapes(hidden_size: int, memory_size: int, attentional_size: int, locality: str) -> Shapes:
    """Return the initializers and shapes of ``W_c``, and of the predictor of positions where there is one."""
    draw = initializers.lecun_normal()
    shapes: Shapes = {"attentional_kernel": (draw, (memory_size + hidden_size, attentional_size))}
    if locality == "predictive":
        shapes["position_kernel"] = (draw, (hidden_size, hidden_size))
        shapes["position_vector"] = (initializers.normal(hidden_size**-0.5), (hidden_size,))
    return shapes


class AttentionalParameters(linen.Module):
    """The parameters of `attentional_shapes`, returned by a linen module."""

    hidden_size: int
    attentional_size: int
    locality: str

    @linen.compact
    def __call__(self, memory_size: int) -> Parameters:
        """Create or read the parameters for a memory of this width."""
        shapes = attentional_shapes(self.hidden_size, memory_size, self.attentional_size, self.locality)
        return {name: self.param(name, draw, shape) for name, (draw, shape) in shapes.items()}


class LuongDecoder(linen.Module):
    """A language model of the target that starts from the `Memory` of any encoder, see `LuongCell`::

        h_0 = tanh(m B + b)               of the summary m; for every layer, and an LSTM's memory too
        p(y_(t+1) | y_1 .. y_t, source) = softmax(h~_t V + d)

    Args:
        vocab_size: ``V``.
        embedding_dim: of the tokens.
        cell: of every layer.
        num_layers: of the recurrent network.
        score: `DotScore`, `GeneralScore`, `ConcatScore` or any other.
        attentional_size: the width of ``h~``; None for that of the cell.
        input_feeding: whether the first layer reads ``h~_(t-1)`` beside the token.
        locality: "global" attention sees the whole source; "monotonic" the window of ``half_width`` on either side of
            the position ``t``; "predictive" that around a predicted position, with weights multiplied by a Gaussian.
        half_width: ``D``, in tokens of the source.
        dropout_rate: of the embedded tokens and of ``h~`` before the output.
        dtype: of the computation.
    """

    vocab_size: int
    embedding_dim: int = 64
    cell: Cell = LSTM(64)
    num_layers: int = 1
    score: Score = GeneralScore()
    attentional_size: int | None = None
    input_feeding: bool = True
    locality: str = "global"
    half_width: int = 10
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Make the layers."""
        check_one_of("locality", self.locality, LOCALITIES)
        self.embed = Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        self.initial = linen.Dense(self.num_layers * state_size(self.cell), dtype=self.dtype)
        self.parameters = [CellParameters(self.cell, name=f"layer{index}") for index in range(self.num_layers)]
        self.score_parameters = ScoreParameters(self.score, name="score")
        self.width = self.cell.output_size if self.attentional_size is None else self.attentional_size
        self.attentional = AttentionalParameters(self.cell.output_size, self.width, self.locality)
        self.dropout = Dropout(self.dropout_rate)
        self.output = linen.Dense(self.vocab_size, dtype=self.dtype)

    def init_carry(self, memory: Memory) -> LuongCarry:
        """Make the carry before the first token, and compute the keys of attention once for all steps."""
        layers = initial_states(self.cell, self.num_layers, jnp.tanh(self.initial(memory.summary)))
        values = clear_hidden(memory.states, padding_mask(memory.mask))
        source = AttendedSource(self.score.keys(self._score(values.shape[-1]), values), values, memory.mask)
        zeros = jnp.zeros((*memory.summary.shape[:-1], self.width), values.dtype)
        return LuongCarry(LuongState(layers, zeros, zeros[..., :1]), source)

    def __call__(self, tokens: Array, carry: LuongCarry, train: bool = False) -> tuple[Array, dict[str, Any]]:
        """Compute the logits ``[B, T, V]`` of the token after each of the tokens ``[B, T]``, and the intermediates.

        Intermediates are ``embedding``, ``attentional`` (``h~``), the weights ``attention`` ``[B, T, S]`` and the
        ``carry`` after the last token.
        """
        out: dict[str, Any] = {}
        x = self.dropout(collect(out, "embedding", self.embed(tokens)), train=train)
        memory_size = carry.source.values.shape[-1]
        cell = LuongCell(
            self.cell,
            self.num_layers,
            self.width,
            self.input_feeding,
            self.locality,
            self.half_width,
            self.score,
            self._score(memory_size),
            carry.source,
        )
        parameters = dict(self.attentional(memory_size))
        size = x.shape[-1] + (self.width if self.input_feeding else 0)
        for index, layer in enumerate(self.parameters):
            parameters |= {f"layer{index}_{name}": leaf for name, leaf in layer(size).items()}
            size = self.cell.output_size
        # A LuongCell takes the place of a cell in a scan without being one.
        state, y = scan(cast(Cell, cell), parameters, x, carry.state)
        attentional, out["attention"] = jnp.split(y, [self.width], axis=-1)
        out["carry"] = carry._replace(state=state)
        return self.output(self.dropout(collect(out, "attentional", attentional), train=train)), out

    def _score(self, key_size: int) -> dict[str, Array]:
        parameters = self.score_parameters(self.cell.output_size, key_size)
        return jax.tree.map(lambda leaf: leaf.astype(self.dtype or leaf.dtype), parameters)


class LuongEncoderDecoder(SequenceToSequence):
    """Sequence to sequence with a `LuongDecoder`; parameters ``encoder`` and ``decoder``.

    The fields are those of `Encoder` and `LuongDecoder`; ``cell``, ``embedding_dim``, ``num_layers``, ``dropout_rate``
    and ``dtype`` are common to both. Luong's own encoder reads in one direction; with ``bidirectional`` its states have
    twice the width of the cell, for which `DotScore` is not defined.

    >>> model = LuongEncoderDecoder(source_vocab_size=9, target_vocab_size=7, cell=LSTM(5), embedding_dim=4)
    >>> source, target_in = jnp.ones((2, 6), int), jnp.ones((2, 3), int)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), source, target_in)
    >>> logits.shape, variables["params"]["decoder"]["attentional"]["attentional_kernel"].shape
    ((2, 3, 7), (10, 5))
    """

    source_vocab_size: int | None
    target_vocab_size: int
    cell: Cell = LSTM(64)
    embedding_dim: int = 64
    num_layers: int = 1
    bidirectional: bool = False
    score: Score = GeneralScore()
    attentional_size: int | None = None
    input_feeding: bool = True
    locality: str = "global"
    half_width: int = 10
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Make both networks."""
        shared: dict[str, Any] = {
            "cell": self.cell,
            "embedding_dim": self.embedding_dim,
            "num_layers": self.num_layers,
            "dropout_rate": self.dropout_rate,
            "dtype": self.dtype,
        }
        self.encoder = Encoder(self.source_vocab_size, bidirectional=self.bidirectional, **shared)
        self.decoder = LuongDecoder(
            self.target_vocab_size,
            score=self.score,
            attentional_size=self.attentional_size,
            input_feeding=self.input_feeding,
            locality=self.locality,
            half_width=self.half_width,
            **shared,
        )


def _layer(parameters: Parameters, index: int) -> Parameters:
    """Select the parameters of one layer."""
    prefix = f"layer{index}_"
    return {name.removeprefix(prefix): leaf for name, leaf in parameters.items() if name.startswith(prefix)}
