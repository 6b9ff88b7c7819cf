"""Parts that families of models share: named intermediates, convolutions, classifier heads, checks of inputs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import linen
from jax.ad_checkpoint import checkpoint_name

from jaxdl.arrays import check_weights
from jaxdl.checks import check_indices, check_positive_integer
from jaxdl.nn.attention.position import sinusoidal_positions
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.geometry import Padding
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.typing import Array, ArrayLike


class Embed(linen.Embed):
    """``flax.linen.Embed`` of tokens ``0 .. num_embeddings - 1`` alone: another one raises an error, or gives NaN.

    flax reads a negative token from the end of the table, and every token as 0 where the table has a single row.

    >>> layer = Embed(3, 2)
    >>> table = {"params": {"embedding": jnp.arange(6.0).reshape(3, 2)}}
    >>> jax.jit(layer.apply)(table, jnp.array([2, -1])).tolist()
    [[4.0, 5.0], [nan, nan]]
    """

    def __call__(self, inputs: ArrayLike) -> Array:
        """Map tokens ``[...]`` to vectors ``[..., features]``.

        Raises:
            ValueError: a token is known to be outside of the table, or they are not integers.
        """
        inputs = jnp.asarray(inputs)
        if not jnp.issubdtype(inputs.dtype, jnp.integer):
            raise ValueError(f"expected integer tokens, got {inputs.dtype}")
        check_indices("tokens", inputs, self.num_embeddings)
        (table,) = self.promote_dtype(self.embedding, dtype=self.dtype, inexact=False)
        return jnp.asarray(table).at[inputs].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


class ConvNorm(linen.Module):
    """Convolution, batch norm, activation: ``y = activation(batch_norm(convolve(x)))``.

    The convolution has no bias, since the norm would subtract it.

    >>> layer = ConvNorm(8, (3, 3), padding=1)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jax.numpy.zeros((1, 6, 6, 3)))
    >>> y.shape, sorted(variables["params"])
    ((1, 6, 6, 8), ['conv', 'norm'])
    """

    features: int
    kernel_size: Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "valid"
    groups: int = 1
    dilation: int | Sequence[int] = 1
    activation: Callable[[Array], Array] | None = jax.nn.relu
    epsilon: float = 1e-5
    scale_init: Any = linen.initializers.ones
    kernel_init: Callable[..., Array] = he_normal()
    dtype: Any = None

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H2, W2, features]``."""
        conv = partial(Conv, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype, name="conv")
        x = conv(self.features, self.kernel_size, self.stride, self.padding, self.dilation, groups=self.groups)(x)
        x = BatchNorm(epsilon=self.epsilon, scale_init=self.scale_init, name="norm")(x, train)
        return x if self.activation is None else self.activation(x)


def collect(out: dict[str, Any], name: str, x: Array) -> Array:
    """Add ``x`` to the intermediates of a model, tag it with its name, and return it tagged.

    Continue with the result: `jaxdl.interpret` reads and replaces a tagged array in the program of any function, and
    the policies of `jax.checkpoint` save it by its name.

    Args:
        out: the intermediates of the model; ``x`` is added to them.
        name: of the intermediate.
        x: ``[...]``.
    """
    out[name] = checkpoint_name(x, name)
    return out[name]


def classifier_head(
    x: Array,
    out: dict[str, Array],
    train: bool,
    *,
    hidden_sizes: Sequence[int],
    num_classes: int,
    dropout_rate: float,
    drop_outputs: bool,
    dtype: Any = None,
) -> Array:
    """Apply rectified dense layers with dropout and a linear output: the head of AlexNet, ZFNet and VGG.

    Call it in the ``@linen.compact`` method of a model, whose submodules ``dense1``, ``dense2``, ..., ``output`` it
    creates.

    Args:
        x: ``[B, H, W, C]``, flattened first.
        out: the intermediates of the model; ``dense1`` and so on are added to them.
        train: whether to drop.
        hidden_sizes: units of each dense layer.
        num_classes: number of logits.
        dropout_rate: share of the units dropped.
        drop_outputs: drop the outputs of the dense layers, else their inputs.
        dtype: of the computation.

    Returns:
        Logits ``[B, num_classes]``.

    Raises:
        ValueError: a dense layer has no unit.
    """
    x = einops.rearrange(x, "b h w c -> b (h w c)")
    for number, size in enumerate(hidden_sizes, 1):
        check_positive_integer(f"hidden_sizes[{number - 1}]", size)
        if not drop_outputs:
            x = Dropout(dropout_rate)(x, train=train)
        x = collect(out, f"dense{number}", jax.nn.relu(linen.Dense(size, dtype=dtype, name=f"dense{number}")(x)))
        if drop_outputs:
            x = Dropout(dropout_rate)(x, train=train)
    return output_layer(x, num_classes, dtype=dtype)


def output_layer(x: Array, num_classes: int, **options: Any) -> Array:
    """Compute the logits ``x W + b`` by a layer named ``output``; without classes there is none, and the result is x.

    Call it in the ``@linen.compact`` method of a model. ``num_classes=0`` makes a backbone of a classifier, whose
    result is the vector before the logits.

    Args:
        x: ``[..., D]``.
        num_classes: number of logits, or 0.
        **options: of ``linen.Dense``.
    """
    return linen.Dense(num_classes, name="output", **options)(x) if num_classes else x


def scale_channels(channels: int, width: float) -> int:
    """Return the number of channels of a network ``width`` times as wide, rounded, at least 1.

    >>> scale_channels(64, 1 / 8), scale_channels(3, 0.1)
    (8, 1)
    """
    return max(1, round(width * channels))


def check_image_size(name: str, x: Array, min_size: int) -> None:
    """Check that ``x`` holds images ``[B, H, W, C]`` of a minimal height and width.

    Raises:
        ValueError: the rank is not 4, or the images are too small.

    >>> check_image_size("ResNet", jax.numpy.zeros((1, 2, 2, 3)), 4)
    Traceback (most recent call last):
    ...
    ValueError: ResNet expected images [B, H, W, C] with H and W of at least 4, got (1, 2, 2, 3); resize them
    """
    if x.ndim == 4 and min(x.shape[1:3]) >= min_size:
        return
    hint = channels_last_hint(x.shape) or {3: "; add a batch dimension, x[None]", 4: "; resize them"}.get(x.ndim, "")
    raise ValueError(f"{name} expected images [B, H, W, C] with H and W of at least {min_size}, got {x.shape}{hint}")


def check_tokens(name: str, tokens: ArrayLike, rank: int | None = 2, context_length: int | None = None) -> Array:
    """Check that an argument holds tokens ``[B, T]`` no longer than the context, and convert it to an array.

    Args:
        name: of the argument, for the error.
        tokens: integers.
        rank: number of dimensions; None for any, ``[..., T]``.
        context_length: the largest ``T``.

    Raises:
        ValueError: the rank or the dtype is wrong, or ``T`` exceeds the context.

    >>> check_tokens("x", [[1, 2]], context_length=1)
    Traceback (most recent call last):
    ...
    ValueError: expected x of at most 1 tokens, got 2; shorten the rows or create the model with a longer context
    """
    tokens = jnp.asarray(tokens)
    shape = "[..., T]" if rank is None else "[B, T]"
    if tokens.ndim != (rank or max(tokens.ndim, 1)) or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"expected {name} to be integer tokens {shape}, got {tokens.shape} of {tokens.dtype}")
    if context_length is not None and tokens.shape[-1] > context_length:
        raise ValueError(
            f"expected {name} of at most {context_length} tokens, got {tokens.shape[-1]}; shorten the rows or create "
            "the model with a longer context"
        )
    return tokens


def clear_padding(tokens: Array, mask: Array, vocab_size: int) -> Array:
    """Replace what is no token by 0 in the padding of ``tokens``, where the mask is 0: padding may have any value.

    >>> clear_padding(jnp.array([5, 2, -100]), jnp.array([1, 1, 0]), vocab_size=3).tolist()
    [5, 2, 0]
    """
    return jnp.where((mask == 0) & ((tokens < 0) | (tokens >= vocab_size)), 0, tokens)


def add_positions(x: Array, first: ArrayLike = 0) -> Array:
    """Add the sinusoidal positions ``first .. first + T - 1`` to vectors ``[B, T, D]``.

    >>> add_positions(jnp.zeros((1, 1, 4))).tolist()
    [[[0.0, 1.0, 0.0, 1.0]]]
    """
    positions = sinusoidal_positions(first + jnp.arange(x.shape[1]), x.shape[-1])
    return x + positions.astype(x.dtype)[None]


def token_mask(mask: ArrayLike | None, lengths: ArrayLike | None, shape: Sequence[int]) -> Array | None:
    """Return the mask of the tokens ``[B, T]`` of a batch, from a mask or from lengths; None without either.

    Args:
        mask: 1 for tokens and 0 for padding, ``[B, T]``.
        lengths: the numbers of tokens, ``[B]``; the rest is padding.
        shape: ``(B, T)``.

    Raises:
        ValueError: both are given, the mask is known to be negative somewhere, as one that is added to scores, or the
            shapes differ.

    >>> token_mask(None, jnp.array([2, 1]), (2, 3)).astype(int).tolist()
    [[1, 1, 0], [1, 0, 0]]
    """
    shape = tuple(shape)
    if lengths is not None:
        if mask is not None:
            raise ValueError("expected lengths or a mask, got both; pass the mask alone")
        if jnp.shape(lengths) != shape[:1]:
            raise ValueError(f"expected lengths {shape[:1]}, one for each row, got {jnp.shape(lengths)}")
        return valid_steps(lengths, shape[1])
    if mask is None:
        return None
    if jnp.shape(mask) != shape:
        raise ValueError(f"expected a mask of the shape of the tokens, {shape}, got {jnp.shape(mask)}")
    check_weights(mask)  # before it is an array, which would be traced under jit
    return jnp.asarray(mask)


def nan_if_additive(x: Array, mask: Array | None) -> Array:
    """Replace the vectors ``[B, T, D]`` of a row by NaN if its mask ``[B, T]`` is negative somewhere.

    Such a mask is one that is added to scores; traced, it passed `token_mask` unchecked.

    >>> nan_if_additive(jnp.ones((2, 2, 1)), jnp.array([[0, -9], [1, 0]]))[..., 0].tolist()
    [[nan, nan], [1.0, 1.0]]
    """
    if mask is None or mask.dtype == bool:
        return x
    return jnp.where(jnp.all(mask >= 0, axis=1)[:, None, None], x, jnp.nan)


def channels_last_hint(shape: Sequence[int]) -> str:
    """Suggest moving the channels last, for a shape of images that seems to have them first; else return "".

    >>> channels_last_hint((8, 3, 32, 32)), channels_last_hint((8, 32, 32, 3))
    ('; move the channels last with jnp.moveaxis(x, 1, -1)', '')
    """
    first = len(shape) == 4 and shape[1] <= 4 < shape[3]
    return "; move the channels last with jnp.moveaxis(x, 1, -1)" if first else ""
