"""The multilayer perceptron."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.models.registry import register
from jaxdl.nn import activations
from jaxdl.nn.activations import Activation
from jaxdl.typing import Array, ArrayLike


class MLP(nn.Module):
    """Layers ``h_k = g(h_(k-1) W_k + b_k)`` from ``h_0``, the numbers of an example in a row, and a linear output.

    Features are ``hidden1``, ``hidden2``, ... as wide as ``hidden_sizes`` says; ``dtype`` is that of the computation.

    >>> import jax
    >>> model = MLP(hidden_sizes=(8,), num_classes=3)
    >>> logits, variables = model.init_with_output(jax.random.key(0), jnp.zeros((2, 4, 4, 1)))
    >>> logits.shape, variables["params"]["hidden1"]["kernel"].shape
    ((2, 3), (16, 8))
    """

    hidden_sizes: Sequence[int] = (64, 64)
    num_classes: int = 10
    activation: str | Activation = "relu"
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Return the logits ``[B, num_classes]`` of examples ``[B, ...]``.

        Raises:
            ValueError: x has no dimension beside the batch, or no activation has this name.
        """
        x = jnp.asarray(x)
        if x.ndim < 2:
            raise ValueError(f"MLP expects a batch [B, ...] of two dimensions or more; came {x.shape}: give x[None]")
        activation, dense = activations.get(self.activation), partial(nn.Dense, dtype=self.dtype)
        features = {}
        x = x.reshape(x.shape[0], -1)
        for layer, width in enumerate(self.hidden_sizes, start=1):
            x = features[f"hidden{layer}"] = activation(dense(width, name=f"hidden{layer}")(x))
        logits = dense(self.num_classes, name="output")(x)
        return (logits, features) if return_intermediates else logits


register("mlp", MLP, input_shape=(8, 8, 1), description="Two hidden layers of 64 rectified units")
