"""Mu-law companding against a loop over the formula, and against the piecewise linear G.711 of Python."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data import audio

SOUND = np.concatenate([np.linspace(-1, 1, 401), [1e-6, -1e-6, 3e-4]])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("levels", [2, 16, 256])
def test_encode_and_decode_agree_with_a_loop(levels):
    mu = levels - 1
    codes, sounds = [], []
    for x in SOUND:
        y = math.copysign(math.log(1 + mu * abs(x)) / math.log(1 + mu), x)
        codes.append(math.floor((y + 1) / 2 * mu + 0.5))
        z = 2 * codes[-1] / mu - 1
        sounds.append(math.copysign(((1 + mu) ** abs(z) - 1) / mu, z))

    @jax.jit
    def ours(sound):
        encoded = audio.mu_law_encode(sound, levels)
        return encoded, audio.mu_law_decode(encoded, levels, jnp.float64)

    encoded, decoded = ours(SOUND)
    np.testing.assert_array_equal(encoded, codes)
    np.testing.assert_allclose(decoded, sounds, rtol=1e-12, atol=1e-15)


def test_encode_approximates_piecewise_linear_G711():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audioop = pytest.importorskip("audioop", reason="Python's own G.711, removed in 3.13")
    samples = np.arange(-32_000, 32_000, 37).astype(np.int16)
    coded = audioop.ulaw2lin(audioop.lin2ulaw(samples.tobytes(), 2), 2)
    expected = np.frombuffer(coded, np.int16) / 32_768
    ours = np.asarray(jax.jit(lambda sound: audio.mu_law_decode(audio.mu_law_encode(sound)))(samples / 32_768))
    error = np.abs(ours - expected) / np.maximum(np.abs(samples / 32_768), 0.01)
    assert error.max() < 0.06


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300))
def test_encode_inverts_decode(levels):
    codes = np.arange(300) % levels
    np.testing.assert_array_equal(audio.mu_law_encode(audio.mu_law_decode(codes, levels), levels), codes)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_rounded_once(dtype):
    sound = jnp.asarray(SOUND, dtype)
    wide = sound.astype(jnp.float32)
    np.testing.assert_array_equal(audio.mu_law_encode(sound), audio.mu_law_encode(wide))
    np.testing.assert_array_equal(audio.mu_law_compress(sound), audio.mu_law_compress(wide).astype(dtype))
    np.testing.assert_array_equal(audio.mu_law_expand(sound), audio.mu_law_expand(wide).astype(dtype))
    codes = jnp.arange(256)
    decoded = audio.mu_law_decode(codes, dtype=dtype)
    np.testing.assert_array_equal(decoded, audio.mu_law_decode(codes).astype(dtype))


def test_the_error_is_at_most_half_a_level_and_small_at_low_amplitudes():
    @jax.jit
    def round_trip(x):
        return audio.mu_law_decode(audio.mu_law_encode(x))

    error = np.abs(round_trip(SOUND.astype(np.float32)) - SOUND)
    # The derivative of the inverse, ln(1 + mu) (1 + mu |x|) / mu, times half of 2 / mu.
    bound = np.log(256) * (1 + 255 * np.abs(SOUND)) / 255**2
    assert (error <= 1.03 * bound + 1e-6).all()
    assert error[np.abs(SOUND) < 0.01].max() < 1e-3 < error.max()


def test_expand_inverts_compress_and_has_fixed_points():
    x = SOUND.astype(np.float32)
    back = jax.jit(lambda x: audio.mu_law_expand(audio.mu_law_compress(x)))(x)
    np.testing.assert_allclose(back, x, rtol=2e-5, atol=1e-9)
    assert audio.mu_law_compress(jnp.array([-1.0, 0.0, 1.0])).tolist() == [-1, 0, 1]
    assert audio.mu_law_encode(jnp.array([-3.0, 2.0])).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: audio.mu_law_compress(0.5, mu=0), "0"),
        (lambda: audio.mu_law_encode(0.5, num_levels=1), "1"),
        (lambda: audio.mu_law_decode(0, num_levels=0), "0"),
    ],
)
def test_arguments_are_checked(call, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        call()


def test_the_integers_of_a_sound_file_are_samples():
    sound = np.array([-1.0, -0.25, 0.0, 0.01, 0.5])
    for dtype, largest, silence in ((np.int16, 2**15, 0), (np.int8, 2**7, 0), (np.uint8, 2**7, 128)):
        integers = np.round(sound * largest + silence).astype(dtype)
        samples = (integers.astype(np.float32) - silence) / largest
        for function in (audio.mu_law_encode, audio.mu_law_compress):
            np.testing.assert_array_equal(jax.jit(function)(integers), jax.jit(function)(samples))
    assert audio.mu_law_encode(1) == 255
    for dtype in (np.int32, np.uint16, bool):
        with pytest.raises(TypeError, match=f"got {np.dtype(dtype)}"):
            audio.mu_law_encode(np.ones(1, dtype))


def test_codes_that_are_none_are_no_amplitude():
    for code in (-1, 256):
        with pytest.raises(ValueError, match=f"got {code}"):
            audio.mu_law_decode(np.array([0, code]))
        assert np.isnan(jax.jit(audio.mu_law_decode)(np.array([0, code]))).tolist() == [False, True]
    with pytest.raises(ValueError, match="got nan"):
        audio.mu_law_encode(np.array([0.0, np.nan]))
