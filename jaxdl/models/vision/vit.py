"""The vision transformer (Dosovitskiy et al., 2021): an image as a sequence of patches."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.models.layers import channels_last_hint
from jaxdl.models.registry import register
from jaxdl.models.transformers.block import Block, run_blocks
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.initializers import normal, zeros
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike


class VisionTransformer(nn.Module):
    """Patches, a class token, learned positions, ``num_layers`` encoder blocks, and a linear layer on the class token.

    With ``E`` the embedding of patches and ``z_l`` of shape ``[B, N + 1, D]`` for ``N`` patches::

        z_0  = [class_token; x_1 E; ...; x_N E] + positions
        z'_l = z_(l-1) + attention(norm1(z_(l-1)))
        z_l  = z'_l + dense2(gelu(dense1(norm2(z'_l))))
        y    = norm(z_L)[0] W + b

    The features are ``patches`` ``[B, H / P, W / P, D]``, ``embedded`` (``z_0``), ``encoder_block1`` (``z_1``) and
    ``encoder_block1_attention`` (its weights, ``[B, heads, N + 1, N + 1]``) and so on, ``encoded`` (``norm(z_L)``), and
    ``pooled``, the class token's row of it. Positions are learned for images of one size; ``resize_positions`` makes
    those of another.

    Args:
        num_classes: how many logits.
        patch_size: height and width of a patch, pixels.
        d_model: ``D``.
        num_layers: ``L``.
        num_heads: of the attention; they divide ``D``.
        mlp_dim: how many units ``dense1`` has.
        dropout_rate: share that is dropped of ``z_0``, and of what attention, ``dense1`` and ``dense2`` give.
        attention_dropout_rate: share of the weights of attention that is dropped.
        epsilon: of the norms; weights from Hugging Face are made for 1e-12.
        scan_blocks: run all blocks but the first as one that is compiled once, which compiles sooner and may run
            slower; their variables are stacked, see `jaxdl.models.scanning`.
        dtype: of the computation.

    >>> model = VisionTransformer(num_classes=10, patch_size=4, d_model=16, num_layers=2, num_heads=2, mlp_dim=32)
    >>> logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    >>> logits.shape, variables["params"]["positions"].shape
    ((1, 10), (5, 16))
    """

    num_classes: int = 1000
    patch_size: int = 16
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12
    mlp_dim: int = 3072
    dropout_rate: float = 0.0
    attention_dropout_rate: float = 0.0
    epsilon: float = 1e-6
    scan_blocks: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images are no whole number of patches, or of another size than the positions.
        """
        x = jnp.asarray(x)
        size, out = self.patch_size, {}
        if x.ndim != 4 or min(x.shape) < 1 or x.shape[1] % size or x.shape[2] % size:
            hint = channels_last_hint(x.shape)
            raise ValueError(f"expected images [B, H, W, C] of whole patches of {size} x {size}; came {x.shape}{hint}")
        x = out["patches"] = Conv(self.d_model, (size, size), size, dtype=self.dtype, name="patch_embedding")(x)
        x = out["embedded"] = Dropout(self.dropout_rate)(self._add_positions(x), train=train)
        block = partial(
            Block,
            self.num_heads,
            self.mlp_dim,
            dropout_rate=self.dropout_rate,
            attention_dropout_rate=self.attention_dropout_rate,
            epsilon=self.epsilon,
            dtype=self.dtype,
        )
        x, seen = run_blocks(block, "encoder", self.num_layers, x, train, scan=self.scan_blocks)
        out |= seen
        x = out["encoded"] = LayerNorm(epsilon=self.epsilon, name="norm")(x)
        x = out["pooled"] = x[:, 0]
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(x)
        return (logits, out) if return_intermediates else logits

    def _add_positions(self, x: Array) -> Array:
        """Put the class token before the patches ``[B, H, W, D]``, and add to each what stands for its position."""
        count, grid = 1 + x.shape[1] * x.shape[2], x.shape[1:3]
        if self.has_variable("params", "positions"):
            known = self.get_variable("params", "positions").shape[0]
            if known != count:
                raise ValueError(
                    f"images of {grid[0]} x {grid[1]} patches need {count} positions; the parameters have {known}: "
                    f"resize the images, or the table with resize_positions(positions, {grid})"
                )
        token = self.param("class_token", zeros, (self.d_model,), jnp.float32)
        positions = self.param("positions", normal(0.02), (count, self.d_model), jnp.float32)
        token, positions = token.astype(x.dtype), positions.astype(x.dtype)
        rows = x.reshape(x.shape[0], -1, self.d_model)
        tokens = jnp.broadcast_to(token[None, None], (x.shape[0], 1, self.d_model))
        return jnp.concatenate([tokens, rows], axis=1) + positions[None]


def resize_positions(positions: ArrayLike, grid: tuple[int, int], old_grid: tuple[int, int] | None = None) -> Array:
    """Interpolate the rows of patches bilinearly to another grid; the first row, of the class token, stays.

    Where the grid shrinks, neighbours are averaged (antialiasing).

    Args:
        positions: ``[1 + H W, D]``.
        grid: the new number of patches in height and width.
        old_grid: ``(H, W)``; None for a square.

    Returns:
        ``[1 + H2 W2, D]``.

    Raises:
        ValueError: the rows do not fill the old grid.

    >>> resize_positions(jnp.array([[9.0], [0.0], [2.0]]), (1, 1), (1, 2)).ravel().tolist()
    [9.0, 1.0]
    """
    positions = jnp.asarray(positions)
    side = round(max(positions.shape[0] - 1, 0) ** 0.5)
    height, width = (side, side) if old_grid is None else old_grid
    if positions.ndim != 2 or height * width != positions.shape[0] - 1 or height < 1:
        raise ValueError(
            f"positions [1 + H W, D] do not fill a grid of {height} x {width}; came {positions.shape}: "
            "name the old grid where it is no square"
        )
    patches = positions[1:].reshape(height, width, -1)
    patches = jax.image.resize(patches, (*grid, patches.shape[-1]), "bilinear", antialias=True)
    return jnp.concatenate([positions[:1], patches.reshape(-1, patches.shape[-1])])


register(
    "vit_b16",
    VisionTransformer,
    input_shape=(224, 224, 3),
    description="ViT-B/16, base with patches of 16: 86,567,656 parameters",
)
register(
    "vit_b32",
    VisionTransformer,
    input_shape=(224, 224, 3),
    description="ViT-B/32, base with patches of 32: 88,224,232 parameters",
    patch_size=32,
)
register(
    "vit_l16",
    VisionTransformer,
    input_shape=(224, 224, 3),
    description="ViT-L/16, large with patches of 16: 304,326,632 parameters",
    d_model=1024,
    num_layers=24,
    num_heads=16,
    mlp_dim=4096,
)
