"""Captions of images by the decoder of a transformer, over the positions of the image."""

from typing import Any, cast

import jax.numpy as jnp
from flax import linen

from jaxdl.models.layers import Embed, add_positions, check_tokens, collect
from jaxdl.models.sequence.captioner import ImageEncoder
from jaxdl.models.transformers.transformer import Decoder, TransformerCarry, init_transformer_carry
from jaxdl.nn.attention.cache import Cache
from jaxdl.nn.attention.masking import padding_mask
from jaxdl.nn.initializers import normal
from jaxdl.nn.noise import Dropout
from jaxdl.typing import Array, ArrayLike


class TransformerCaptioner(linen.Module):
    """Image to caption: a network over the image, and the decoder of a transformer whose memory are its positions::

        m = f W + b                                        of the features f at the positions of the image
        y = decoder(sqrt(D) E[target_in] + positions, m)
        p(y_(t+1) | y_1 .. y_t, image) = softmax(y E^T)

    Its task is ``tasks.translation``, with the images as ``"source"``. Intermediates are those of the decoder,
    ``decoded`` (``y``) and ``attention`` ``[B, T, S]``, the weights of the last block, the mean of its heads.

    Args:
        vocab_size: the number of tokens.
        network: of the image, see `ImageEncoder`; None for images that are features.
        d_model: ``D``.
        num_layers: blocks of the decoder.
        num_heads: of attention.
        mlp_dim: hidden size of the MLP of a block; None for ``4 D``.
        dropout_rate: of the sums with positions, and in the blocks.
        dtype: of the computation.

    >>> import jax
    >>> model = TransformerCaptioner(vocab_size=7, d_model=8, num_layers=1, num_heads=2)
    >>> features, target_in = jnp.ones((2, 14, 14, 3)), jnp.ones((2, 4), int)
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), features, target_in)[0].shape
    (2, 4, 7)
    """

    vocab_size: int
    network: linen.Module | None = None
    d_model: int = 64
    num_layers: int = 2
    num_heads: int = 4
    mlp_dim: int | None = None
    dropout_rate: float = 0.1
    dtype: Any = None

    def setup(self):
        """Make the layers."""
        self.encoder = ImageEncoder(self.network, self.dtype)
        self.memory = linen.Dense(self.d_model, dtype=self.dtype)
        self.embedding = Embed(
            self.vocab_size, self.d_model, embedding_init=normal(self.d_model**-0.5), dtype=self.dtype
        )
        self.decoder = Decoder(
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            mlp_dim=4 * self.d_model if self.mlp_dim is None else self.mlp_dim,
            norm_first=True,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
        )
        self.dropout = Dropout(self.dropout_rate)

    def __call__(
        self,
        source: ArrayLike,
        target_in: ArrayLike,
        source_lengths: ArrayLike | None = None,
        train: bool = False,
        return_intermediates: bool = False,
    ) -> Array | tuple[Array, dict[str, Any]]:
        """Compute the logits ``[B, T, V]`` of the token after each of ``target_in`` ``[B, T]``.

        Raises:
            ValueError: images and captions are of the wrong kind or not as many as each other, or there are lengths.
        """
        target_in = check_tokens("target_in", target_in)
        if jnp.shape(source)[:1] != target_in.shape[:1]:
            raise ValueError(f"expected as many images as captions, got {jnp.shape(source)} and {target_in.shape}")
        states = self.encoder(source, source_lengths, train)
        y, out = self._decode(target_in, self.memory(states.states), states.mask, train)
        out["attention"] = jnp.mean(out[f"decoder_block{self.num_layers}_memory_attention"], axis=1)
        logits = self.embedding.attend(collect(out, "decoded", y))
        return (logits, out) if return_intermediates else logits

    def init_carry(
        self, source: ArrayLike, source_lengths: ArrayLike | None = None, *, max_length: int = 256
    ) -> TransformerCarry:
        """Encode images and make the carry before the first of at most ``max_length`` tokens of the captions."""
        states = self.encoder(source, source_lengths)
        return init_transformer_carry(self.decoder, self.memory(states.states), states.mask, max_length)

    def step(self, carry: TransformerCarry, token: Array) -> tuple[TransformerCarry, Array]:
        """Map the carry and a token ``[B]`` to the next carry and logits ``[B, V]``."""
        y, out = self._decode(token[:, None], carry.memory, carry.mask, False, carry.caches)
        return carry._replace(caches=out["carry"]), self.embedding.attend(y)[:, 0]

    def _decode(
        self, tokens: Array, memory: Array, mask: Array, train: bool, caches: tuple[Cache, ...] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        x = add_positions(self.d_model**0.5 * self.embedding(tokens), 0 if caches is None else caches[0].length)
        options: dict[str, Any] = {"memory_mask": padding_mask(mask), "caches": caches}
        result = self.decoder(self.dropout(x, train=train), memory, train=train, return_intermediates=True, **options)
        return cast(tuple[Array, dict[str, Any]], result)
