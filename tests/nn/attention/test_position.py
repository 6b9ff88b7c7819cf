"""Positions against the equations one number at a time, and rotations against transformers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.attention.position import rotary_embedding, sinusoidal_positions
from tests.peers import torch, transformers

close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_sines_and_cosines_alternate_as_in_the_paper():
    expected = np.zeros((7, 6))
    for p in range(7):
        for i in range(3):
            angle = p / 10_000 ** (2 * i / 6)
            expected[p, 2 * i], expected[p, 2 * i + 1] = np.sin(angle), np.cos(angle)
    close(sinusoidal_positions(np.arange(7.0), 6), expected)
    close(sinusoidal_positions(np.arange(7.0)[:, None], 6)[:, 0], expected)
    close(jax.jit(lambda first: sinusoidal_positions(first + jnp.arange(3.0), 6))(4.0), expected[4:])


@pytest.mark.usefixtures("float64")
def test_a_shift_is_one_rotation_for_all_positions():
    table = np.asarray(sinusoidal_positions(np.arange(9.0), 8))
    shift, *rest = np.linalg.lstsq(table[:-3], table[3:])
    close(table[:-3] @ shift, table[3:], atol=1e-10)


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
@pytest.mark.usefixtures("float64")
def test_rotations_match_transformers(pairs):
    peers = transformers().models
    q = np.random.default_rng(0).normal(size=(2, 3, 5, 8))
    positions = torch().arange(5)[None].double()
    angles = positions[..., None] * 10_000 ** (-torch().arange(0, 8, 2).double() / 8)
    if pairs == "halves":
        both = torch().cat([angles, angles], dim=-1)
        rotate = peers.llama.modeling_llama.apply_rotary_pos_emb
        expected = rotate(torch().tensor(q), torch().tensor(q), both.cos(), both.sin())[0]
    else:
        rotate = peers.gptj.modeling_gptj.apply_rotary_pos_emb
        expected = rotate(torch().tensor(q).transpose(1, 2), angles.sin(), angles.cos()).transpose(1, 2)
    close(jax.jit(partial(rotary_embedding, pairs=pairs))(q, np.arange(5)), expected.numpy())


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
@pytest.mark.usefixtures("float64")
def test_products_of_rotated_vectors_depend_on_their_distance(pairs):
    q, k = np.random.default_rng(0).normal(size=(2, 1, 6))

    @jax.jit
    def product(p, s):
        return jnp.vdot(rotary_embedding(q, p, pairs=pairs), rotary_embedding(k, s, pairs=pairs))

    close(product(np.array([3]), np.array([1])), product(np.array([40]), np.array([38])))
    assert abs(product(np.array([3]), np.array([1])) - product(np.array([3]), np.array([2]))) > 1e-3
    close(rotary_embedding(q, np.array([0]), pairs=pairs), q)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinusoidal_positions(jnp.arange(3), 5), "got 5"),
        (lambda: rotary_embedding(jnp.zeros((3, 5)), jnp.arange(3)), "got 5"),
        (lambda: rotary_embedding(jnp.zeros((3, 4)), jnp.arange(2)), r"got \(2,\)"),
        (lambda: rotary_embedding(jnp.zeros((3, 4)), jnp.zeros((3, 4))), r"got \(3, 4\)"),
        (lambda: rotary_embedding(jnp.zeros((3, 4)), jnp.arange(3), pairs="thirds"), "got 'thirds'"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_integers_are_rotated_as_floating_point_numbers():
    x = np.array([[100, 101], [102, 3]], np.uint8)
    rotated = rotary_embedding(x, np.arange(2))
    np.testing.assert_array_equal(rotated, rotary_embedding(x.astype(np.float32), np.arange(2)))
