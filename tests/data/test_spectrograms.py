"""Spectrograms against torch, mel filters against transformers, and SpecAugment by its definition."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import spectrograms
from tests.peers import torch, transformers


@pytest.mark.usefixtures("float64")
def test_the_power_is_torchs():
    x = np.random.default_rng(0).normal(size=(2, 77))
    ours = jax.jit(partial(spectrograms.spectrogram, window_size=32, hop=10))(x)
    window = torch().hann_window(32, dtype=torch().float64)
    theirs = torch().stft(torch().tensor(x), 32, 10, window=window, center=False, return_complex=True)
    np.testing.assert_allclose(ours, np.moveaxis(theirs.abs().square().numpy(), 1, 2), atol=1e-12)


def test_the_filters_are_those_of_transformers():
    transformers()
    utilities = pytest.importorskip("transformers.audio_utils", reason="parity with transformers")
    theirs = utilities.mel_filter_bank(129, 20, 60.0, 3800.0, 8000, norm=None, mel_scale="htk")
    ours = spectrograms.mel_filters(20, 129, 8000, low=60.0, high=3800.0)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_logarithm_of_the_power_in_bands():
    x = np.random.default_rng(0).normal(size=600).astype(np.float32)
    power, found = jax.jit(lambda x: (spectrograms.spectrogram(x), spectrograms.log_mel(x, 8000)))(x)
    expected = np.log(np.asarray(power) @ spectrograms.mel_filters(32, 129, 8000) + 1e-6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    integers = (x * 100).astype(np.int16)
    assert jax.eval_shape(lambda x: spectrograms.log_mel(x, 8000), integers).dtype == jnp.float32


def spans(hidden):
    """Return start and length of the spans of True in a row."""
    edges = np.diff(np.concatenate([[0], hidden.astype(int), [0]]))
    starts, ends = np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0]
    return list(zip(starts, ends - starts, strict=True))


def test_masks_are_spans_of_time_and_bands_of_frequency():
    x, settings = np.full((400, 12, 9, 1), 3.0, np.float32), {"time_width": 5, "frequency_width": 4, "fill": -1.0}
    apply = jax.jit(lambda key, x: spectrograms.spec_augment(key, x, time_masks=1, frequency_masks=1, **settings))
    y = np.asarray(apply(jax.random.key(0), x))
    np.testing.assert_array_equal(y, apply(jax.random.key(0), x))
    lengths = []
    for example in y[..., 0] == -1:
        steps, bands = example.all(axis=1), example.all(axis=0)
        np.testing.assert_array_equal(example, steps[:, None] | bands[None])
        found = [spans(steps), spans(bands)]
        assert all(len(each) <= 1 for each in found)
        lengths.append([each[0][1] if each else 0 for each in found])
    counts = [np.bincount(column) for column in np.transpose(lengths)]
    assert [len(each) for each in counts] == [6, 5]
    assert min(each.min() / each.sum() * len(each) for each in counts) > 0.6  # uniform


def test_nothing_is_masked_without_masks_or_width():
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)

    @jax.jit
    def run(key, x):
        none = spectrograms.spec_augment(key, x, time_masks=0, frequency_masks=0, time_width=4, frequency_width=3)
        return none, spectrograms.spec_augment(key, x, time_width=0, frequency_width=0)

    for unmasked in run(jax.random.key(0), x):
        np.testing.assert_array_equal(unmasked, x)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: spectrograms.spectrogram(np.ones(10)), r"got \(10,\)"),
        (lambda: spectrograms.spectrogram(np.ones(10), window_size=0), "got 0"),
        (lambda: spectrograms.mel_filters(4, 9, 8000, high=5000), "high=5000"),
        (lambda: spectrograms.spec_augment(jax.random.key(0), np.ones((4, 3))), r"got \(4, 3\)"),
        (lambda: spectrograms.spec_augment(jax.random.key(0), np.ones((1, 4, 30))), "got 10"),
        (lambda: spectrograms.spec_augment(jax.random.key(0), np.ones((1, 40, 30)), time_masks=-1), "got -1"),
    ],
)
def test_bad_arguments_are_errors(call, got):
    with pytest.raises(ValueError, match=got):
        call()
