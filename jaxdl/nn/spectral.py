"""Spectral normalization: kernels divided by their largest singular value, which power iteration follows."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array, ArrayLike


def spectral_normalize(
    kernel: ArrayLike, u: ArrayLike, *, iterations: int = 1, epsilon: float = 1e-12
) -> tuple[Array, Array]:
    """Divide a kernel by an estimate of its largest singular value ``s = u^T W v``.

    ``W`` is the kernel as a matrix ``[outputs, inputs]``. An iteration is ``v = W^T u / |W^T u|;  u = W v / |W v|``,
    through which no gradient passes: the gradient of ``s`` is ``u v^T``.

    Args:
        kernel: ``[..., K]`` with the outputs last.
        u: ``[K]``, an estimate of the left singular vector.
        iterations: number of iterations; 0 to use ``u`` as it is, with one ``v``.
        epsilon: the least norm that is divided by.

    Returns:
        The kernel divided by ``s``, and the new ``u``; a kernel of zeros leaves both as they are.

    Raises:
        ValueError: the shapes do not match.

    Source: Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    >>> kernel, u = spectral_normalize(jnp.diag(jnp.array([4.0, 2.0])), jnp.array([1.0, 0.0]))
    >>> jnp.diag(kernel).tolist()
    [1.0, 0.5]
    """
    kernel, u = jnp.asarray(kernel), jnp.asarray(u)
    if kernel.ndim < 2 or u.shape != kernel.shape[-1:]:
        raise ValueError(f"expected a kernel [..., K] and u [K], got {kernel.shape} and {u.shape}")
    matrix = kernel.reshape(-1, kernel.shape[-1])  # [inputs, outputs]
    fixed = jax.lax.stop_gradient(matrix)
    u = jax.lax.stop_gradient(u)
    v = _unit(fixed @ u, epsilon)
    for number in range(iterations):
        v = v if number == 0 else _unit(fixed @ u, epsilon)
        new = _unit(v @ fixed, epsilon)
        u = jnp.where(jnp.any(new != 0), new, u)  # a kernel of zeros has no direction
    sigma = v @ matrix @ u
    return kernel / jnp.where(sigma == 0, 1, sigma), u


def _unit(x: Array, epsilon: float) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), epsilon)


class SpectralNorm(linen.Module):
    """A layer whose ``kernel`` is divided by its largest singular value: its linear map has a slope of at most one.

    The vector ``u`` of `spectral_normalize` is in the collection ``batch_stats``; with ``train=True`` an iteration
    improves it, if the collection is mutable. The parameters are those of the layer, under
    its name if it is made beside this module in another one, else under ``layer``.

    Attributes:
        layer: with the outputs in the last dimension of its kernel, as those of `Conv` and ``linen.Dense``.
        iterations: of each call in training.
        epsilon: the least norm that is divided by.

    >>> norm = SpectralNorm(linen.Dense(3))
    >>> variables = jax.eval_shape(norm.init, jax.random.key(0), jnp.zeros((2, 5)))
    >>> jax.tree.map(jnp.shape, variables)
    {'batch_stats': {'u': (3,)}, 'params': {'layer': {'bias': (3,), 'kernel': (5, 3)}}}
    """

    layer: linen.Module
    iterations: int = 1
    epsilon: float = 1e-12

    @linen.compact
    def __call__(self, x: ArrayLike, train: bool = False) -> Array:
        """Apply the layer."""
        check_positive_integer("iterations", self.iterations)

        def normalize(variables: Any) -> Any:
            """Replace the kernel of the layer, once there is one."""
            params = variables.get("params", {})
            if "kernel" not in params:
                return variables
            kernel = params["kernel"]
            u = self.variable("batch_stats", "u", self.init_vector, kernel.shape[-1])
            updates = train and self.is_mutable_collection("batch_stats") and not self.is_initializing()
            kernel, new = spectral_normalize(
                kernel, u.value, iterations=self.iterations if train else 0, epsilon=self.epsilon
            )
            if updates:
                u.value = new
            return {**variables, "params": {**params, "kernel": kernel}}

        def apply(layer: linen.Module, x: ArrayLike) -> Array:
            return layer(x)  # pyright: ignore[reportCallIssue]

        mapped = linen.map_variables(apply, "params", trans_in_fn=normalize, init=self.is_initializing())
        return mapped(self.layer, x)

    def init_vector(self, outputs: int) -> Array:
        """Draw a direction ``[outputs]``."""
        return _unit(jax.random.normal(self.make_rng("params"), (outputs,)), self.epsilon)
