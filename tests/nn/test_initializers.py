import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn import initializers

SHAPE = (3, 3, 40, 60)
FAN_IN, FAN_OUT = 360, 540

# each: initializer, variance, bound on the size of a value or None
DRAWN = {
    "uniform_fan_in": (initializers.uniform_fan_in(), 1 / (3 * FAN_IN), FAN_IN**-0.5),
    "normal": (initializers.normal(0.2), 0.04, None),
    "lecun_normal": (initializers.lecun_normal(), 1 / FAN_IN, None),
    "xavier_uniform": (initializers.xavier_uniform(), 2 / (FAN_IN + FAN_OUT), (6 / (FAN_IN + FAN_OUT)) ** 0.5),
    "xavier_normal": (initializers.xavier_normal(), 2 / (FAN_IN + FAN_OUT), None),
    "he_uniform": (initializers.he_uniform(), 2 / FAN_IN, (6 / FAN_IN) ** 0.5),
    "he_normal": (initializers.he_normal(), 2 / FAN_IN, None),
}


@pytest.mark.parametrize("name", DRAWN)
def test_variance_and_bound_are_those_of_the_equation(name, key):
    initializer, variance, bound = DRAWN[name]
    values = np.asarray(initializer(key, SHAPE, jnp.float32), np.float64)
    # the deviation of a sample variance of n normal numbers is sqrt(2 / n) of it: five of them
    assert abs(values.var() / variance - 1) < 5 * (2 / values.size) ** 0.5
    assert abs(values.mean()) < 5 * (variance / values.size) ** 0.5
    if bound is not None:
        assert 0.99 * bound < np.abs(values).max() <= bound


def test_the_normal_forms_differ_in_whether_they_are_cut(key):
    cut = initializers.lecun_normal()(key, SHAPE, jnp.float32)
    whole = initializers.he_normal()(key, SHAPE, jnp.float32)
    assert np.abs(cut).max() * FAN_IN**0.5 < 2.3
    assert np.abs(whole).max() * (FAN_IN / 2) ** 0.5 > 3.5


def test_constants(key):
    for initializer, value in [(initializers.zeros, 0), (initializers.ones, 1), (initializers.constant(0.5), 0.5)]:
        assert set(np.unique(initializer(key, (4, 5), jnp.float32))) == {value}


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 5)])
def test_orthogonal_matrices_are_orthogonal(shape, key):
    w = np.asarray(initializers.orthogonal(2.0)(key, shape, jnp.float32)).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_orthogonal_matrices_of_many_keys_are_those_of_each_key(key):
    draw = lambda key: initializers.orthogonal()(key, (4, 4), jnp.float32)  # noqa: E731 - a name for both uses
    keys = jax.random.split(key, 3)
    np.testing.assert_allclose(jax.jit(jax.vmap(draw))(keys), jnp.stack([draw(each) for each in keys]), atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_an_orthogonal_matrix_in_half_precision_is_that_of_float32_rounded(dtype, key):
    draw = initializers.orthogonal()
    half = draw(key, (4, 3), dtype)
    assert half.dtype == dtype
    np.testing.assert_array_equal(half, draw(key, (4, 3), jnp.float32).astype(dtype))
