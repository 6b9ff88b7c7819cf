"""What families of models share: a convolution that is normalised, dense layers, what images and tokens they take."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.convolution.geometry import Padding
from jaxdl.nn.initializers import he_normal
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.typing import Array, ArrayLike


class ConvNorm(nn.Module):
    """``y = activation(batch_norm(convolve(x)))``, the convolution without a bias, which the norm would take away.

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
    activation: Callable[[Array], Array] | None = jax.nn.relu
    epsilon: float = 1e-5
    scale_init: Any = nn.initializers.ones
    kernel_init: Callable[..., Array] = he_normal()
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, C]`` to ``[B, H2, W2, K]``."""
        conv = partial(Conv, use_bias=False, kernel_init=self.kernel_init, dtype=self.dtype, name="conv")
        x = conv(self.features, self.kernel_size, self.stride, self.padding, groups=self.groups)(x)
        x = BatchNorm(epsilon=self.epsilon, scale_init=self.scale_init, name="norm")(x, train)
        return x if self.activation is None else self.activation(x)


def dense_layers(model: nn.Module, x: Array, out: dict[str, Array], train: bool) -> Array:
    """Apply a model's rectified layers ``dense1``, ``dense2``... with dropout of their inputs or of their outputs."""
    drop = partial(Dropout(model.dropout_rate), train=train)
    for number, width in enumerate(model.hidden_sizes, 1):
        x = x if model.drop_outputs else drop(x)
        x = out[f"dense{number}"] = jax.nn.relu(nn.Dense(width, dtype=model.dtype, name=f"dense{number}")(x))
        x = drop(x) if model.drop_outputs else x
    return x


def check_image_size(name: str, x: Array, least: int) -> None:
    """Refuse what are no images ``[B, H, W, C]`` of at least this height and width.

    Raises:
        ValueError: with what came, and how to mend it.

    >>> check_image_size("ResNet", jax.numpy.zeros((1, 2, 2, 3)), 4)
    Traceback (most recent call last):
    ...
    ValueError: ResNet expects images [B, H, W, C] of height and width 4 or more; came (1, 2, 2, 3): resize them
    """
    if x.ndim == 4 and min(x.shape[1:3]) >= least:
        return
    hint = channels_last_hint(x.shape) or {3: ": give x[None]", 4: ": resize them"}.get(x.ndim, "")
    raise ValueError(f"{name} expects images [B, H, W, C] of height and width {least} or more; came {x.shape}{hint}")


def check_tokens(name: str, tokens: ArrayLike, rank: int | None = 2, context: int | None = None) -> Array:
    """Refuse what are no tokens ``[B, T]``, or more than a model has positions for; return them as an array.

    Args:
        name: what they are.
        tokens: integers.
        rank: how many dimensions they have; None for any, ``[..., T]``.
        context: ``T`` at most.

    Raises:
        ValueError: with what came, and how to mend it.

    >>> check_tokens("x", [[1, 2]], context=1)
    Traceback (most recent call last):
    ...
    ValueError: the context has room for 1 tokens; came 2: give shorter rows, or make a model with a larger context
    """
    tokens = jnp.asarray(tokens)
    shape = "[..., T]" if rank is None else "[B, T]"
    if tokens.ndim != (rank or max(tokens.ndim, 1)) or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"{name} must be tokens, integers {shape}; came {tokens.shape} of {tokens.dtype}")
    if context is not None and tokens.shape[-1] > context:
        raise ValueError(
            f"the context has room for {context} tokens; came {tokens.shape[-1]}: give shorter rows, or make a model "
            "with a larger context"
        )
    return tokens


def channels_last_hint(shape: Sequence[int]) -> str:
    """Say how to put channels last, where images of this shape seem to have them first; else nothing.

    >>> channels_last_hint((8, 3, 32, 32)), channels_last_hint((8, 32, 32, 3))
    ('. The channels seem to come first: give jnp.moveaxis(x, 1, -1)', '')
    """
    first = len(shape) == 4 and shape[1] <= 4 < shape[3]
    return ". The channels seem to come first: give jnp.moveaxis(x, 1, -1)" if first else ""
