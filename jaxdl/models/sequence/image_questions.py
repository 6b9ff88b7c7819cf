"""Questions about images: stacked attention of a question over the positions of an image (Yang et al., 2016)."""

from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_positive_integer
from jaxdl.models.layers import collect, output_layer
from jaxdl.models.sequence.captioner import ImageEncoder
from jaxdl.models.sequence.layers import embed, last
from jaxdl.nn.attention.scores import AdditiveScore, Attention
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike


class StackedAttentionNetwork(linen.Module):
    """A classifier of answers, whose question attends to the image, more than once::

        v_s = tanh(f_s W + b)                      of the features f at the positions s
        u_0 = the last state of a recurrent network over the question
        a_s = softmax_s(tanh(u_(k-1) Q_k + v_s P_k) w_k)
        u_k = u_(k-1) + sum_s a_s v_s              for the hops k = 1 .. K

    and a linear layer on ``u_K``. It reads the question first: ``tasks.supervised(model, losses.cross_entropy,
    inputs="question", arguments={"image": "image", "lengths": "length"})`` trains it.

    Intermediates are ``positions`` (``v``), ``question`` (``u_0``), and for each hop ``attention1`` ``[B, S]`` and so
    on and ``pooled1`` (``u_1``) and so on.

    Args:
        vocab_size: the number of tokens of questions.
        num_classes: the number of answers.
        network: of images, see `ImageEncoder`; None for images that are features.
        cell: of the network over the question; its width is that of ``v`` and ``u``.
        embedding_dim: of the tokens.
        attention_dim: the hidden size of attention.
        num_hops: ``K``.
        dropout_rate: of the embedded tokens and before the output.
        dtype: of the computation.

    >>> import jax
    >>> model = StackedAttentionNetwork(vocab_size=9, num_classes=4, cell=GRU(5), embedding_dim=3)
    >>> question, features = jnp.ones((2, 6), int), jnp.ones((2, 8, 8, 7))
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), question, features)[0].shape
    (2, 4)
    """

    vocab_size: int
    num_classes: int
    network: linen.Module | None = None
    cell: Cell = GRU(64)
    embedding_dim: int = 64
    attention_dim: int = 64
    num_hops: int = 2
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        question: ArrayLike,
        image: ArrayLike,
        lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Array | tuple[Array, dict[str, Any]]:
        """Compute the logits ``[B, num_classes]`` of questions ``[B, T]`` about images ``[B, H, W, C]``.

        Raises:
            ValueError: question or image are of the wrong kind, or not as many as each other or the lengths.
        """
        check_positive_integer("num_hops", self.num_hops)
        if jnp.shape(question)[:1] != jnp.shape(image)[:1]:
            raise ValueError(f"expected as many questions as images, got {jnp.shape(question)} and {jnp.shape(image)}")
        out: dict[str, Any] = {}
        features = ImageEncoder(self.network, self.dtype, name="encoder")(image, train=train).states  # [B, S, E]
        width = self.cell.output_size
        positions = jnp.tanh(linen.Dense(width, dtype=self.dtype, name="positions")(features))
        positions = collect(out, "positions", positions)
        x, mask = embed(question, lengths, self.vocab_size, self.embedding_dim, self.dtype)
        x = Dropout(self.dropout_rate)(x, train=train)
        _, states = RNN(self.cell, name="rnn")(x, mask=mask, train=train)
        u = collect(out, "question", last(states, mask))
        for hop in range(1, self.num_hops + 1):
            attention = Attention(AdditiveScore(self.attention_dim), name=f"attention{hop}")
            context, weights = attention(u[:, None], positions, return_weights=True)  # [B, 1, D], [B, 1, S]
            out[f"attention{hop}"] = weights[:, 0]
            u = collect(out, f"pooled{hop}", u + context[:, 0])
        logits = output_layer(Dropout(self.dropout_rate)(u, train=train), self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits
