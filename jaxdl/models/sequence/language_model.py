"""A recurrent network that tells the next token from all that came before (Elman, 1990; Mikolov et al., 2010)."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import check_tokens
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import LSTM, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike, PyTree

Output = Array | tuple[Array, dict[str, Any]]
Carry = tuple[PyTree, ...]


class RecurrentLanguageModel(nn.Module):
    """The probability of a text, token by token::

        e_t = E[x_t]                      E  embedding/embedding [V, D]
        h_t, y_t = rnn(h_(t-1), e_t)      any cell, in layers
        p(x_(t+1) | x_1 .. x_t) = softmax(y_t W + b)

    With ``tied``, ``W`` is the transposed embedding (Press and Wolf, 2017; Inan et al., 2017): one parameter, whose
    gradient is the sum over its two uses; the width of the embedding must then be that of ``y``. Otherwise ``W`` is
    ``output/kernel``.

    ``dropout_rate`` is that of dropout on ``e``, between layers and on ``y`` (Zaremba et al., 2014); ``dtype`` is
    that of the computation, the carry included. Features are
    ``embedding`` (``e``), ``states`` (``y``) and ``carry``, the states after the last token, one a layer: given as
    ``carry`` to the next call, the text goes on.

    >>> model = RecurrentLanguageModel(vocab_size=9, cell=LSTM(5), embedding_dim=5, tied=True)
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, 3), int))
    >>> sorted(shapes["params"]), shapes["params"]["embedding"]["embedding"].shape
    (['embedding', 'output_bias', 'rnn'], (9, 5))
    """

    vocab_size: int
    cell: Cell = LSTM(256)
    embedding_dim: int = 64
    num_layers: int = 1
    dropout_rate: float = 0.0
    tied: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, carry: Carry | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Return the logits ``[..., T, V]`` of what follows each of the tokens ``[..., T]``.

        Raises:
            ValueError: the tokens are no integers ``[..., T]``, the carry does not fit them, or the embedding cannot be
                tied.
        """
        x = self._check(x)
        embedding = nn.Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        features: dict[str, Any] = {"embedding": embedding(x)}
        x = Dropout(self.dropout_rate)(features["embedding"], train=train)
        rnn = RNN(self.cell, self.num_layers, dropout_rate=self.dropout_rate, name="rnn")
        features["carry"], features["states"] = rnn(x, carry, train=train)
        x = Dropout(self.dropout_rate)(features["states"], train=train)
        if self.tied:
            bias = self.param("output_bias", nn.initializers.zeros_init(), (self.vocab_size,))
            logits = embedding.attend(x)
            logits = logits + jnp.broadcast_to(bias.astype(logits.dtype), logits.shape)
        else:
            logits = nn.Dense(self.vocab_size, dtype=self.dtype, name="output")(x)
        return (logits, features) if return_intermediates else logits

    def init_carry(self, batch_shape: Sequence[int] = ()) -> Carry:
        """Return the states before the first token, zeros, one a layer."""
        return (self.cell.init_carry(tuple(batch_shape), self.dtype or jnp.float32),) * self.num_layers

    def _check(self, x: ArrayLike) -> jax.Array:
        x = check_tokens("x", x, rank=None)
        if self.tied and self.embedding_dim != self.cell.output_size:
            raise ValueError(
                f"a tied embedding is as wide as what the cell gives, {self.cell.output_size}; it is "
                f"{self.embedding_dim}: give both one width, or tied=False"
            )
        return x


def step_function(model: nn.Module, variables: PyTree) -> Callable[[Carry, Array], tuple[Carry, Array]]:
    """Make of a language model the step that ``decode`` takes, ``(carry, token [B]) -> (carry, logits [B, V])``.

    >>> from jaxdl import decode
    >>> model = RecurrentLanguageModel(vocab_size=5, cell=LSTM(4), embedding_dim=3)
    >>> prompt = jnp.array([[1, 2, 3]])
    >>> def complete(variables):
    ...     _, features = model.apply(variables, prompt[:, :-1], return_intermediates=True)
    ...     return decode.greedy(step_function(model, variables), features["carry"], prompt[:, -1], length=4).tokens
    >>> jax.eval_shape(complete, jax.eval_shape(model.init, jax.random.key(0), prompt)).shape
    (1, 4)
    """

    def step(carry: Carry, token: Array) -> tuple[Carry, Array]:
        logits, features = model.apply(variables, token[:, None], carry, return_intermediates=True)
        return features["carry"], logits[:, 0]

    return step
