"""Captions of images: a network over the image, and a decoder that sees its features (Xu et al., 2015)."""

from typing import Any

import einops
import jax.numpy as jnp
from flax import linen

from jaxdl.models.sequence.encoder_decoder import Decoder, Memory, SequenceToSequence
from jaxdl.nn.attention.scores import AdditiveScore, Score
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.typing import ArrayLike


class ImageEncoder(linen.Module):
    """A network over images as an encoder: the memory has a state for each position of its features.

    The summary is the mean over all positions, and every position is valid.

    Args:
        network: images ``[B, H, W, C]`` to features ``[B, h, w, E]``, called with ``train``; None for sources that are
            features, as `jaxdl.models` gives them among the intermediates of a network.
        dtype: of the memory; None for that of the features.
    """

    network: linen.Module | None = None
    dtype: Any = None

    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Encode images ``[B, H, W, C]``, or features ``[B, h, w, E]`` or ``[B, S, E]``.

        Raises:
            ValueError: there are lengths, or the features are of the wrong kind.
        """
        if lengths is not None:
            raise ValueError(f"expected images without lengths, got lengths {jnp.shape(lengths)}")
        network: Any = self.network
        features = jnp.asarray(source) if network is None else network(source, train=train)
        if features.ndim not in (3, 4) or not jnp.issubdtype(features.dtype, jnp.floating):
            raise ValueError(
                f"expected features [B, h, w, E] or [B, S, E], got {features.shape} of {features.dtype}; "
                "give a network without an output layer"
            )
        features = features if self.dtype is None else features.astype(self.dtype)
        states = features if features.ndim == 3 else einops.rearrange(features, "b h w e -> b (h w) e")
        return Memory(states, jnp.ones(states.shape[:2], bool), jnp.mean(states, axis=1))


class Captioner(SequenceToSequence):
    """Image to caption: an `ImageEncoder` and a `Decoder`, with parameters ``encoder`` and ``decoder``.

    ``context`` selects how the decoder sees the image: its mean features make the initial state ("initial", Vinyals et
    al., 2015), and are an input of every step ("every_step", Mao et al., 2015), or every step attends to the positions
    ("attention", Xu et al., 2015). Its task is ``tasks.translation``, with the images as ``"source"``.

    Args:
        vocab_size: the number of tokens.
        network: see `ImageEncoder`.
        cell: of the decoder.
        embedding_dim: of the tokens.
        num_layers: of the decoder.
        context: "initial", "every_step" or "attention".
        score: of attention.
        dropout_rate: of the embedded tokens, between layers and before the output.
        dtype: of the computation.

    >>> import jax
    >>> model = Captioner(vocab_size=7, cell=GRU(5), embedding_dim=4)
    >>> features, target_in = jnp.ones((2, 14, 14, 8)), jnp.ones((2, 3), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), features, target_in)[0].shape
    (2, 3, 7)
    """

    vocab_size: int
    network: linen.Module | None = None
    cell: Cell = GRU(64)
    embedding_dim: int = 64
    num_layers: int = 1
    context: str = "attention"
    score: Score = AdditiveScore()
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Make both networks."""
        self.encoder = ImageEncoder(self.network, self.dtype)
        self.decoder = Decoder(
            self.vocab_size,
            self.embedding_dim,
            self.cell,
            self.num_layers,
            self.context,
            self.score,
            self.dropout_rate,
            self.dtype,
        )
