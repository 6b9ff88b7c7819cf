"""Vision transformer, an image as a sequence of patches (Dosovitskiy et al., 2021)."""

from functools import partial
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.models.layers import channels_last_hint, collect, output_layer
from jaxdl.models.registry import register
from jaxdl.models.scanning import Remat
from jaxdl.models.transformers.block import Block, run_blocks
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.initializers import normal, zeros
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import LayerNorm
from jaxdl.typing import Array, ArrayLike


@renamed_fields(
    features="d_model",
    depth="num_layers",
    heads="num_heads",
    mlp_features="mlp_dim",
    dropout="dropout_rate",
    attention_dropout="attention_dropout_rate",
)
class VisionTransformer(linen.Module):
    """Patches, a class token, learned positions, ``num_layers`` encoder blocks, and a linear layer on the class token.

    With ``E`` the embedding of patches and ``z_l`` of shape ``[B, N + 1, D]`` for ``N`` patches::

        z_0  = [class_token; x_1 E; ...; x_N E] + positions
        z'_l = z_(l-1) + attention(norm1(z_(l-1)))
        z_l  = z'_l + dense2(gelu(dense1(norm2(z'_l))))
        y    = norm(z_L)[0] W + b

    Intermediates are ``patches`` ``[B, H / P, W / P, D]``, ``embedded`` (``z_0``), ``encoder_block1`` (``z_1``) and
    ``encoder_block1_attention`` (its weights, ``[B, num_heads, N + 1, N + 1]``) and so on, ``encoded`` (``norm(z_L)``),
    and ``pooled``, its row of the class token. Positions are learned for images of one size; ``resize_positions``
    interpolates them for another.

    Attributes:
        num_classes: number of logits; 0 for no output layer, for a backbone.
        patch_size: height and width of a patch, pixels.
        d_model: ``D``.
        num_layers: ``L``.
        num_heads: of the attention, a divisor of ``D``.
        mlp_dim: units of ``dense1``.
        dropout_rate: share dropped of ``z_0`` and of the outputs of attention, ``dense1`` and ``dense2``.
        attention_dropout_rate: share of the attention weights dropped.
        epsilon: of the norms; weights from Hugging Face need 1e-12.
        activation: of the MLPs.
        scan_blocks: run all blocks but the first as one that is compiled once, which compiles sooner and may run
            slower; their variables are stacked, see `jaxdl.models.scanning`.
        remat: what the backward pass of a block finds in memory, see `jaxdl.models.scanning.rematerialize`.
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
    activation: str = "gelu"
    scan_blocks: bool = False
    remat: Remat = "none"
    dtype: Any = None

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of images ``[B, H, W, C]``.

        Raises:
            ValueError: the images do not divide into patches, or have another size than the positions.
        """
        x = jnp.asarray(x)
        size = self.patch_size
        out: dict[str, Array] = {}
        if x.ndim != 4 or min(x.shape[1:]) < 1 or x.shape[1] % size or x.shape[2] % size:
            hint = channels_last_hint(x.shape)
            raise ValueError(f"expected images [B, H, W, C] of whole patches of {size} x {size}, got {x.shape}{hint}")
        x = collect(out, "patches", Conv(self.d_model, (size, size), size, dtype=self.dtype, name="patch_embedding")(x))
        x = collect(out, "embedded", Dropout(self.dropout_rate)(self._add_positions(x), train=train))
        block = partial(
            Block,
            self.num_heads,
            self.mlp_dim,
            activation=self.activation,
            dropout_rate=self.dropout_rate,
            attention_dropout_rate=self.attention_dropout_rate,
            epsilon=self.epsilon,
            dtype=self.dtype,
        )
        options = {"scan": self.scan_blocks, "remat": self.remat, "return_weights": return_intermediates}
        x, blocks = run_blocks(block, "encoder", self.num_layers, x, train, **options)
        out |= blocks
        x = collect(out, "encoded", LayerNorm(epsilon=self.epsilon, name="norm")(x))
        x = collect(out, "pooled", x[:, 0])
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits

    def _add_positions(self, x: Array) -> Array:
        """Prepend the class token to the patches ``[B, H, W, D]``, and add the positions."""
        count, grid = 1 + x.shape[1] * x.shape[2], x.shape[1:3]
        if self.has_variable("params", "positions"):
            table_size = self.get_variable("params", "positions").shape[0]
            if table_size != count:
                raise ValueError(
                    f"expected {count} positions for {grid[0]} x {grid[1]} patches and class token, got {table_size}; "
                    f"resize the images, or the table with resize_positions(positions, {grid})"
                )
        token = self.param("class_token", zeros, (self.d_model,), jnp.float32)
        positions = self.param("positions", normal(0.02), (count, self.d_model), jnp.float32)
        token, positions = token.astype(x.dtype), positions.astype(x.dtype)
        patches = einops.rearrange(x, "b h w d -> b (h w) d")
        tokens = jnp.broadcast_to(token[None, None], (x.shape[0], 1, self.d_model))  # the batch may be symbolic
        return jnp.concatenate([tokens, patches], axis=1) + positions[None]


def resize_positions(positions: ArrayLike, grid: tuple[int, int], old_grid: tuple[int, int] | None = None) -> Array:
    """Interpolate the positions of patches bilinearly to another grid; the class token keeps its position.

    A smaller grid is antialiased.

    Args:
        positions: ``[1 + H W, D]``.
        grid: ``(H2, W2)``, the new number of patches in height and width.
        old_grid: ``(H, W)``; None for a square grid.

    Returns:
        ``[1 + H2 W2, D]``.

    Raises:
        ValueError: the number of positions does not match the old grid.

    >>> resize_positions(jnp.array([[9.0], [0.0], [2.0]]), (1, 1), (1, 2)).ravel().tolist()
    [9.0, 1.0]
    """
    positions = jnp.asarray(positions)
    side = round(max(positions.shape[0] - 1, 0) ** 0.5)
    height, width = (side, side) if old_grid is None else old_grid
    if positions.ndim != 2 or height * width != positions.shape[0] - 1 or height < 1:
        raise ValueError(
            f"expected positions [1 + {height} * {width}, D], got {positions.shape}; give old_grid where it is not "
            "square"
        )
    patches = einops.rearrange(positions[1:], "(h w) d -> h w d", h=height)
    patches = jax.image.resize(patches, (*grid, patches.shape[-1]), "bilinear", antialias=True)
    return jnp.concatenate([positions[:1], einops.rearrange(patches, "h w d -> (h w) d")])


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
