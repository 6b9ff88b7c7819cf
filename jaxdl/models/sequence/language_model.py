"""The recurrent language model: predict the next token from all before it (Elman, 1990; Mikolov et al., 2010)."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import Embed, check_tokens, collect
from jaxdl.models.sequence.layers import RENAMED_FIELDS
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import LSTM, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike, PyTree

Output = Array | tuple[Array, dict[str, Any]]
Carry = tuple[PyTree, ...]


@renamed_fields(vocabulary="vocab_size", layers="num_layers", **RENAMED_FIELDS)
class RecurrentLanguageModel(linen.Module):
    """A model of the probability of a text, token by token::

        e_t = E[x_t]                      E  embedding/embedding [V, D]
        h_t, y_t = rnn(h_(t-1), e_t)      any cell, in layers
        p(x_(t+1) | x_1 .. x_t) = softmax(y_t W + b)

    With ``tied``, ``W`` is the transposed embedding (Press and Wolf, 2017; Inan et al., 2017): one parameter, whose
    gradient is the sum over its two uses. Otherwise ``W`` is ``output/kernel``.

    Intermediates are ``embedding`` (``e``), ``states`` (``y``) and ``carry``, the states after the last token, one a
    layer, from which the next call continues the text.

    Args:
        vocab_size: ``V``.
        cell: of every layer.
        embedding_dim: ``D``; with ``tied`` the output size of the cell.
        num_layers: of the recurrent network.
        dropout_rate: of ``e``, between layers and of ``y`` (Zaremba et al., 2014).
        tied: whether embedding and output share their weights.
        dtype: of the computation, the carry included.

    >>> import jax
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

    @linen.compact
    def __call__(
        self, x: ArrayLike, carry: Carry | None = None, train: bool = False, return_intermediates: bool = False
    ) -> Output:
        """Compute the logits ``[..., T, V]`` of the token after each of the tokens ``[..., T]``.

        Raises:
            ValueError: the tokens are no integers ``[..., T]``, the carry does not fit them, or the embedding cannot be
                tied.
        """
        x = check_tokens("x", x, rank=None)
        if self.tied and self.embedding_dim != self.cell.output_size:
            raise ValueError(
                f"expected a tied embedding of the output size of the cell, {self.cell.output_size}, "
                f"got embedding_dim={self.embedding_dim}; make them equal, or set tied=False"
            )
        embedding = Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        out: dict[str, Any] = {}
        x = collect(out, "embedding", embedding(x))
        x = Dropout(self.dropout_rate)(x, train=train)
        rnn = RNN(self.cell, self.num_layers, dropout_rate=self.dropout_rate, name="rnn")
        out["carry"], x = rnn(x, carry, train=train)
        x = Dropout(self.dropout_rate)(collect(out, "states", x), train=train)
        if self.tied:
            bias = self.param("output_bias", linen.initializers.zeros_init(), (self.vocab_size,))
            logits = embedding.attend(x)
            logits = logits + jnp.broadcast_to(bias.astype(logits.dtype), logits.shape)
        else:
            logits = linen.Dense(self.vocab_size, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits

    def init_carry(self, batch_shape: Sequence[int] = ()) -> Carry:
        """Make the states before the first token, zeros, one a layer."""
        return (self.cell.init_carry(tuple(batch_shape), self.dtype or jnp.float32),) * self.num_layers

    def step(self, carry: Carry, token: Array) -> tuple[Carry, Array]:
        """Map the carry and a token ``[B]`` to the next carry and logits ``[B, V]``."""
        logits, out = self(token[:, None], carry, return_intermediates=True)
        return out["carry"], logits[:, 0]
