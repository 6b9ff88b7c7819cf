"""Networks over videos: frames read by a recurrent network or a transformer, 3-D convolution, and captions.

Dimensions: ``B`` batch, ``T`` frames, ``H`` and ``W`` height and width, ``C`` channels, ``E`` features of a frame.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl.models.layers import add_positions, collect, output_layer
from jaxdl.models.sequence.encoder_decoder import Decoder, Memory, SequenceToSequence
from jaxdl.models.sequence.layers import embed, last, pool
from jaxdl.models.transformers.transformer import Encoder as TransformerEncoder
from jaxdl.nn.attention.masking import padding_mask
from jaxdl.nn.attention.scores import AdditiveScore, Score
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.pooling import max_pool
from jaxdl.nn.noise import Dropout
from jaxdl.nn.recurrent.cells import GRU, Cell
from jaxdl.nn.recurrent.modules import RNN
from jaxdl.typing import Array, ArrayLike

Output = Array | tuple[Array, dict[str, Any]]


class FrameFeatures(linen.Module):
    """The features of every frame, ``[B, T, E]``, with the mask of valid frames ``[B, T]``.

    Args:
        network: videos ``[B, T, H, W, C]`` to features ``[B, T, ...]``, called with ``train``: layers of `jaxdl.nn`
            and of flax accept the dimension of time beside that of the batch. Features of a frame are flattened. None
            for videos that are features.
        dtype: of the features; None for their own.
    """

    network: linen.Module | None = None
    dtype: Any = None

    def __call__(self, video: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> tuple[Array, Array]:
        """Compute the features; those of frames from ``lengths`` ``[B]`` on are 0.

        Raises:
            ValueError: the video or the features are of the wrong kind, or the lengths do not fit them.
        """
        network: Any = self.network
        x = jnp.asarray(video)
        if network is not None and x.ndim != 5:
            raise ValueError(f"expected videos [B, T, H, W, C], got {x.shape}")
        x = x if network is None else network(x, train=train)
        if x.ndim < 3 or not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"expected features [B, T, ...] of frames, got {x.shape} of {x.dtype}")
        x = x.reshape(*x.shape[:2], -1)
        return embed(x, lengths, None, x.shape[-1], self.dtype)


class VideoEncoder(linen.Module):
    """A recurrent network over the features of frames; the memory has a state for each, and the last as summary.

    Args:
        network: of the frames, see `FrameFeatures`.
        cell: of the recurrent network.
        bidirectional: whether it runs in both directions.
        dtype: of the computation.
    """

    network: linen.Module | None = None
    cell: Cell = GRU(64)
    bidirectional: bool = False
    dtype: Any = None

    @linen.compact
    def __call__(self, source: ArrayLike, lengths: ArrayLike | None = None, train: bool = False) -> Memory:
        """Encode videos ``[B, T, H, W, C]``, or features ``[B, T, ...]`` without a network; see `FrameFeatures`."""
        x, mask = FrameFeatures(self.network, self.dtype, name="frames")(source, lengths, train)
        _, states = RNN(self.cell, bidirectional=self.bidirectional, name="rnn")(x, mask=mask, train=train)
        return Memory(states, mask, last(states, mask, both_ends=self.bidirectional))


class RecurrentVideoClassifier(linen.Module):
    """A network over every frame, a recurrent network over time, and a linear layer (Donahue et al., 2015).

    Intermediates are ``states`` ``[B, T, D]`` and ``pooled``, the last of them. The fields are those of `VideoEncoder`.

    >>> import jax
    >>> model = RecurrentVideoClassifier(num_classes=4, cell=GRU(5))
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.ones((2, 8, 3)))[0].shape
    (2, 4)
    """

    num_classes: int
    network: linen.Module | None = None
    cell: Cell = GRU(64)
    bidirectional: bool = False
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        video: ArrayLike,
        lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Output:
        """Compute the logits ``[B, num_classes]`` of videos ``[B, T, H, W, C]``; errors as for `FrameFeatures`."""
        encoder = VideoEncoder(self.network, self.cell, self.bidirectional, self.dtype, name="encoder")
        memory = encoder(video, lengths, train)
        x = Dropout(self.dropout_rate)(memory.summary, train=train)
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, {"states": memory.states, "pooled": memory.summary}) if return_intermediates else logits


class TransformerVideoClassifier(linen.Module):
    """A network over every frame, a transformer over time, and a linear layer on the mean of the frames::

        z = encoder(f W + b + positions)        f  features of the frames, positions sinusoidal
        y = mean_t(z_t) V + d

    Intermediates are those of the transformer's `Encoder`, and ``pooled``.

    >>> import jax
    >>> model = TransformerVideoClassifier(num_classes=4, d_model=8, num_layers=1, num_heads=2)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.ones((2, 8, 3)))[0].shape
    (2, 4)
    """

    num_classes: int
    network: linen.Module | None = None
    d_model: int = 64
    num_layers: int = 2
    num_heads: int = 4
    dropout_rate: float = 0.1
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        video: ArrayLike,
        lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Output:
        """Compute the logits ``[B, num_classes]`` of videos ``[B, T, H, W, C]``; errors as for `FrameFeatures`."""
        x, mask = FrameFeatures(self.network, self.dtype, name="frames")(video, lengths, train)
        x = add_positions(linen.Dense(self.d_model, dtype=self.dtype, name="embedding")(x))
        encoder = TransformerEncoder(
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            mlp_dim=4 * self.d_model,
            norm_first=True,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
            name="encoder",
        )
        x, out = encoder(x, train=train, return_intermediates=True, mask=padding_mask(mask))
        x = collect(out, "pooled", pool(x, mask, "mean"))
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


class ConvVideoClassifier(linen.Module):
    """Convolutions over time and space of ``3 x 3 x 3``, with poolings of ``2 x 2 x 2`` (C3D, Tran et al., 2015)::

        x_k = pool(relu(convolve(x_(k-1)) + b))      the first pooling in space alone
        y   = mean_(t, h, w)(x_K) V + d

    Every frame counts: there are no lengths. Intermediates are ``conv1`` (``x_1``) and so on, and ``pooled``.

    Args:
        num_classes: of the logits.
        channels: of the convolutions, one each.
        dropout_rate: before the output.
        dtype: of the computation.

    >>> import jax
    >>> model = ConvVideoClassifier(num_classes=4, channels=(8, 16))
    >>> shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((2, 8, 16, 16, 1)))
    >>> shapes["params"]["conv2"]["kernel"].shape
    (3, 3, 3, 8, 16)
    """

    num_classes: int
    channels: Sequence[int] = (16, 32, 64)
    dropout_rate: float = 0.0
    dtype: Any = None

    @linen.compact
    def __call__(self, video: ArrayLike, train: bool = False, return_intermediates: bool = False) -> Output:
        """Compute the logits ``[B, num_classes]`` of videos ``[B, T, H, W, C]``.

        Raises:
            ValueError: the videos have another rank, or are too small for the poolings.
        """
        x = jnp.asarray(video)
        if x.ndim != 5:
            raise ValueError(f"expected videos [B, T, H, W, C], got {x.shape}")
        out: dict[str, Any] = {}
        for number, width in enumerate(self.channels, 1):
            x = linen.relu(Conv(width, (3, 3, 3), padding=1, dtype=self.dtype, name=f"conv{number}")(x))
            x = collect(out, f"conv{number}", max_pool(x, (1 if number == 1 else 2, 2, 2)))
        x = collect(out, "pooled", jnp.mean(x, axis=(1, 2, 3)))
        logits = output_layer(Dropout(self.dropout_rate)(x, train=train), self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


class VideoCaptioner(SequenceToSequence):
    """Video to caption: a `VideoEncoder` and a `Decoder`, with parameters ``encoder`` and ``decoder``.

    With ``context="attention"`` every word attends to the frames (Yao et al., 2015), with "initial" it starts from the
    last state (Venugopalan et al., 2015). Its task is ``tasks.translation``, with the videos as ``"source"``.

    Args:
        vocab_size: the number of tokens.
        network: of the frames, see `FrameFeatures`.
        cell: of both networks.
        embedding_dim: of the tokens.
        bidirectional: whether the encoder runs in both directions.
        context: "initial", "every_step" or "attention".
        score: of attention.
        dropout_rate: of the embedded tokens and before the output.
        dtype: of the computation.

    >>> import jax
    >>> model = VideoCaptioner(vocab_size=7, cell=GRU(5), embedding_dim=4)
    >>> video, target_in = jnp.ones((2, 8, 3)), jnp.ones((2, 3), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), video, target_in)[0].shape
    (2, 3, 7)
    """

    vocab_size: int
    network: linen.Module | None = None
    cell: Cell = GRU(64)
    embedding_dim: int = 64
    bidirectional: bool = True
    context: str = "attention"
    score: Score = AdditiveScore()
    dropout_rate: float = 0.0
    dtype: Any = None

    def setup(self):
        """Make both networks."""
        self.encoder = VideoEncoder(self.network, self.cell, self.bidirectional, self.dtype)
        self.decoder = Decoder(
            self.vocab_size,
            self.embedding_dim,
            self.cell,
            context=self.context,
            score=self.score,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
        )
