"""Flows: inverse, determinant of the Jacobian, a density that integrates to 1, and samples of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import generative, tree
from jaxdl.models import CouplingFlow, Glow, RealNVP
from jaxdl.models.generative.flow_layers import ActNorm, squeeze, unsqueeze
from tests.variables import draw

FLOWS = {
    "coupling": (CouplingFlow(num_couplings=2, hidden_size=8), (3,)),
    "realnvp": (RealNVP(num_scales=2, num_couplings=1, hidden_size=3, num_blocks=0), (4, 4, 1)),
    "glow": (Glow(num_scales=2, num_steps=1, hidden_size=3), (4, 4, 1)),
}


def variables_of(model, shape, seed=0):
    def change(path, leaf):
        if path.endswith("limit"):
            leaf = np.ones_like(leaf)  # the scales are those of a trained flow, from 1 / e to e
        if isinstance(model, Glow) and leaf.ndim == 2:
            leaf = np.linalg.qr(leaf)[0]  # the only square matrices of Glow are invertible
        return leaf.astype(np.float64)

    drawn = draw(model.init, jax.random.key(0), np.zeros((2, *shape), np.float32), seed=seed)
    return tree.map_with_path(change, drawn)


@pytest.fixture(scope="module")
def programs():
    """Programs that return z, the determinant, the error of the inverse, and the Jacobian."""

    def program(model, shape):
        def run(variables, x):
            z, log_det = model.apply(variables, x)
            error = jnp.max(jnp.abs(model.apply(variables, z, method="inverse") - x))
            jacobian = jax.vmap(jax.jacfwd(lambda x: model.apply(variables, x[None])[0][0]))(x)
            return z, log_det, error, jacobian

        run, variables = jax.jit(run), variables_of(model, shape)

        def call(x):
            with jax.enable_x64(True):
                return [np.asarray(each) for each in run(variables, x)]

        return call

    return {name: program(*flow) for name, flow in FLOWS.items()}


@pytest.mark.parametrize("name", FLOWS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 3))
def test_the_inverse_undoes_the_flow_and_the_determinant_is_that_of_the_jacobian(programs, name, seed, scale):
    x = scale * np.random.default_rng(seed).normal(size=(2, *FLOWS[name][1]))
    _, log_det, error, jacobian = programs[name](x)
    expected = np.linalg.slogdet(np.reshape(jacobian, (2, x[0].size, x[0].size)))[1]
    np.testing.assert_allclose(log_det, expected, rtol=1e-9, atol=1e-9)
    assert error < 1e-10 * max(1.0, np.abs(x).max())


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_changes_numbers_by_others_and_the_volume(programs, name):
    x = np.random.default_rng(1).normal(size=(2, *FLOWS[name][1]))
    z, log_det, _, jacobian = programs[name](x)
    assert np.mean(np.abs(z - x) > 1e-3) > 0.7
    assert np.abs(log_det).min() > 1e-2
    assert np.mean(jacobian != 0) > 0.3


def test_the_inverse_is_exact_in_single_precision():
    model, x = CouplingFlow(num_couplings=2, hidden_size=8), np.random.default_rng(0).normal(size=(20, 3))
    variables = jax.tree.map(np.float32, variables_of(model, (3,)))

    @jax.jit
    def again(x):
        return model.apply(variables, model.apply(variables, x)[0], method="inverse")

    np.testing.assert_allclose(again(x.astype(np.float32)), x, atol=5e-6)


@pytest.mark.usefixtures("float64")
def test_the_density_of_two_dimensions_integrates_to_one():
    model = CouplingFlow(num_couplings=2, hidden_size=8)
    side = np.linspace(-14, 14, 401)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *[variables_of(model, (2,), seed) for seed in range(3)])

    @jax.jit
    def integrals(stacked):
        def integrate(variables):
            density = jnp.exp(generative.flow_log_likelihood(*model.apply(variables, grid)))
            return jnp.sum(density) * (side[1] - side[0]) ** 2, jnp.max(density)

        return jax.lax.map(integrate, stacked)

    found, peaks = integrals(stacked)
    np.testing.assert_allclose(found, 1, atol=2e-3)
    assert np.all(np.abs(peaks * 2 * np.pi - 1) > 1e-2)  # none is the standard normal density


def test_the_first_batch_determines_the_activation_norm():
    x = np.random.default_rng(0).normal(3.0, 2.0, (5, 4, 4, 2)).astype(np.float32)
    (y, log_det), variables = jax.jit(lambda x: ActNorm().init_with_output(jax.random.key(0), x))(x)
    np.testing.assert_allclose(np.mean(y, axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(y, axis=(0, 1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(log_det, np.full(5, -16 * np.log(x.std(axis=(0, 1, 2))).sum()), rtol=1e-5)


def test_squeezing_is_undone_and_keeps_neighbours_together():
    x = np.arange(32.0).reshape(1, 4, 4, 2)
    np.testing.assert_array_equal(unsqueeze(squeeze(x)), x)
    assert squeeze(x)[0, 0, 0].tolist() == [0, 2, 8, 10, 1, 3, 9, 11]


@pytest.mark.parametrize(
    ("model", "shape", "got"),
    [
        (RealNVP(), (1, 6, 8, 1), r"\(1, 6, 8, 1\)"),
        (Glow(), (1, 3, 32, 32), "moveaxis"),
        (CouplingFlow(), (5, 1), r"\(5, 1\)"),
    ],
)
def test_shapes_that_cannot_be_halved_raise(model, shape, got, key):
    with pytest.raises(ValueError, match=got):
        model.init(key, np.zeros(shape, np.float32))
