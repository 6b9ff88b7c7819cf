import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn


def test_the_gradient_of_a_shared_parameter_is_the_sum_over_its_uses(float64):
    class Untied(nn.Module):
        @nn.compact
        def __call__(self, x):
            first, second = (nn.Dense(4, name=name, param_dtype=jnp.float64) for name in ("first", "second"))
            return second(nn.tanh(first(x)))

    class Tied(nn.Module):
        @nn.compact
        def __call__(self, x):
            layer = nn.Dense(4, name="layer", param_dtype=jnp.float64)
            return layer(nn.tanh(layer(x)))

    x = np.random.default_rng(0).normal(size=(3, 4))
    shared = Tied().init(jax.random.key(0), x)["params"]["layer"]
    tied = jax.grad(lambda p: jnp.sum(Tied().apply({"params": p}, x) ** 2))({"layer": shared})
    untied = jax.grad(lambda p: jnp.sum(Untied().apply({"params": p}, x) ** 2))({"first": shared, "second": shared})
    for name, gradient in tied["layer"].items():
        np.testing.assert_allclose(gradient, untied["first"][name] + untied["second"][name], rtol=1e-12)
