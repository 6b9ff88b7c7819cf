"""The multilayer perceptron."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import einops
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_positive_integer, renamed_fields
from jaxdl.models.layers import collect, output_layer
from jaxdl.models.registry import register
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.typing import Array, ArrayLike


@renamed_fields(hidden="hidden_sizes")
class MLP(linen.Module):
    """Layers ``h_k = g(h_(k-1) W_k + b_k)`` on the flattened example ``h_0``, and a linear output.

    Intermediates are ``hidden1``, ``hidden2``, ..., of ``hidden_sizes`` units; ``dtype`` is that of the computation.

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

    @linen.compact
    def __call__(
        self, x: ArrayLike, train: bool = False, return_intermediates: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Compute the logits ``[B, num_classes]`` of examples ``[B, ...]``.

        Raises:
            ValueError: ``x`` has no dimension besides the batch, a layer no unit, or the activation is unknown.
        """
        x = jnp.asarray(x)
        if x.ndim < 2:
            raise ValueError(
                f"expected a batch [B, ...] of at least two dimensions, got {x.shape}; add a batch dimension, x[None]"
            )
        activation, dense = get_activation(self.activation), partial(linen.Dense, dtype=self.dtype)
        out: dict[str, Array] = {}
        x = einops.rearrange(x, "b ... -> b (...)")
        for layer, size in enumerate(self.hidden_sizes, start=1):
            check_positive_integer(f"hidden_sizes[{layer - 1}]", size)
            x = collect(out, f"hidden{layer}", activation(dense(size, name=f"hidden{layer}")(x)))
        logits = output_layer(x, self.num_classes, dtype=self.dtype)
        return (logits, out) if return_intermediates else logits


register("mlp", MLP, input_shape=(8, 8, 1), description="Two hidden layers of 64 rectified units")
