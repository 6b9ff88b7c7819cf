"""A convolution moves with its input; pooling hardly moves at all. On random images, shifts and kernels."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.nn.convolution.convolution import convolve
from jaxdl.nn.convolution.pooling import average_pool, global_average_pool, global_max_pool, max_pool

SIZE, EXAMPLES = 12, 40
seeds = st.integers(0, 2**16)
shifts = st.tuples(st.integers(-SIZE, SIZE), st.integers(-SIZE, SIZE))


def roll(x, shift):
    return jnp.roll(x, shift, (0, 1))


def image(seed):
    return np.random.RandomState(seed).standard_normal((SIZE, SIZE, 2)).astype(np.float32)


@jax.jit
def convolved(x, kernel, shift, stride_shift):
    """Convolve around a torus, before and after a shift; with a stride of 3, a shift of 3 times as much."""

    def around(x, stride):
        return convolve(jnp.pad(x, ((0, 2), (0, 2), (0, 0)), mode="wrap"), kernel, stride=stride)

    whole = around(roll(x, shift), 1), roll(around(x, 1), shift)
    return whole, (around(roll(x, 3 * stride_shift), 3), roll(around(x, 3), stride_shift)), around(x, 1)


@settings(max_examples=EXAMPLES, deadline=None)
@given(seeds, shifts, shifts)
def test_a_shift_of_the_input_shifts_a_convolution_as_much_and_a_strided_one_by_its_strides(seed, shift, stride_shift):
    kernel = np.random.RandomState(seed + 1).standard_normal((3, 3, 2, 3)).astype(np.float32)
    whole, strided, still = convolved(image(seed), kernel, np.array(shift), np.array(stride_shift))
    for after, before in (whole, strided):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)
    if any(n % SIZE for n in shift):
        assert np.abs(np.asarray(whole[0]) - np.asarray(still)).max() > 1e-3  # it is not invariant


@jax.jit
def pooled(x, shift):
    moved = roll(x, shift)
    pairs = {
        "pixels": (x, moved),
        "max": (max_pool(x, 3), max_pool(moved, 3)),
        "average": (average_pool(x, 3), average_pool(moved, 3)),
        "global max": (global_max_pool(x), global_max_pool(moved)),
        "global average": (global_average_pool(x), global_average_pool(moved)),
        "whole windows": (roll(max_pool(x, 3), shift), max_pool(roll(x, 3 * shift), 3)),
    }
    return {name: (jnp.max(jnp.abs(a - b)), jnp.mean(jnp.abs(a - b))) for name, (a, b) in pairs.items()}


@settings(max_examples=EXAMPLES, deadline=None)
@given(seeds, shifts)
def test_pooling_changes_less_than_the_pixels_and_global_pooling_not_at_all(seed, shift):
    largest, mean = (
        {name: float(change[i]) for name, change in pooled(image(seed), np.array(shift)).items()} for i in (0, 1)
    )
    assert largest["max"] <= largest["pixels"] + 1e-6
    assert mean["average"] <= mean["pixels"] + 1e-6
    assert largest["global max"] == 0
    assert largest["global average"] < 1e-6
    assert largest["whole windows"] == 0  # among shifts by whole windows it is equivariant


@jax.jit
def point(place):
    """Pool a single bright point."""
    return max_pool(jnp.zeros((SIZE, SIZE, 1)).at[place[0], place[1], 0].set(1.0), 3)


@settings(max_examples=EXAMPLES, deadline=None)
@given(*[st.integers(0, SIZE - 1)] * 4)
def test_a_point_that_stays_in_its_window_leaves_max_pooling_as_it_is(row, column, other_row, other_column):
    same = (row // 3, column // 3) == (other_row // 3, other_column // 3)
    a, b = point(np.array([row, column])), point(np.array([other_row, other_column]))
    assert bool(jnp.array_equal(a, b)) == same
    same_window = point(np.array([3 * (row // 3) + other_row % 3, 3 * (column // 3) + other_column % 3]))
    np.testing.assert_array_equal(same_window, a)
