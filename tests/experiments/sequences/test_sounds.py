"""Sounds and their files, counts of samples, and windows of images."""

import numpy as np
import pytest
from scipy.io import wavfile

from experiments.dense import photo_restoration, sliding_window
from experiments.harness.errors import UsageError
from experiments.harness.sequences import sounds
from experiments.sequences import wavenet_sound

RATE = 8000


def tone(rate, hertz=500.0):
    return 0.8 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)


def test_files_of_all_kinds_are_read(tmp_path):
    expected, both = tone(RATE), tone(2 * RATE)
    sounds.write_sound(tmp_path / "plain.wav", expected, RATE)
    wavfile.write(tmp_path / "bytes.wav", RATE, np.round(127 * expected + 128).astype(np.uint8))
    wavfile.write(tmp_path / "stereo.wav", 2 * RATE, np.stack([both, both], axis=1).astype(np.float32))
    found = sounds.read_sounds(tmp_path, RATE)
    assert list(found) == ["bytes", "plain", "stereo"]
    for name, tolerance in {"plain": 1e-3, "bytes": 2e-2, "stereo": 2e-2}.items():
        np.testing.assert_allclose(found[name][100:-100], expected[100:-100], atol=tolerance)


@pytest.mark.parametrize("content", [b"", b"no sound at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_damaged_files_are_errors_of_usage(tmp_path, content):
    with pytest.raises(UsageError, match="without one"):
        sounds.read_sounds(tmp_path, RATE)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.wav"):
        sounds.read_sounds(tmp_path, RATE)


def test_made_words_and_melodies_are_sounds():
    words = sounds.spoken_words(np.random.default_rng(0), 5, RATE)
    assert len(words) == 5
    for sound in [*words.values(), sounds.melody(np.random.default_rng(0), 1.1, 4000)]:
        assert np.abs(sound).max() == pytest.approx(0.8)
    assert len(sounds.melody(np.random.default_rng(0), 1.1, 4000)) == 4400
    assert not sounds.normalized(np.zeros(3)).any()


@pytest.mark.parametrize("length", [500, 4000])
def test_distortion_keeps_the_ratio_of_powers(length):
    random, sound = np.random.default_rng(0), tone(RATE)[:2000]
    made = sounds.distort(random, sound, length, speed=0.2, noise=(10.0, 10.0))
    assert made.shape == (length,)
    loud = sounds.distort(random, sound, 600_000, speed=0.0, noise=(10.0, 10.0))
    variance = np.median(np.square(loud)) / 0.4549  # of normal noise; little of it is beside the sound
    assert variance == pytest.approx(0.1 * np.mean(sound**2), rel=0.05)


def test_bits_of_counts():
    random = np.random.default_rng(0)
    steps = np.cumsum(random.choice([-1, 1], 20_000)) % wavenet_sound.LEVELS
    bits = wavenet_sound.count_bits(steps[:18_000], steps[18_000:])
    assert bits["bigram"] == pytest.approx(1.0, abs=0.7)
    assert bits["unigram"] > 6


def test_the_pixel_of_a_window_is_in_its_middle():
    image = np.arange(20.0).reshape(4, 5, 1)
    for size in (3, 4):
        windows = np.lib.stride_tricks.sliding_window_view(sliding_window.around(image, size)[..., 0], (size, size))
        assert windows.shape[:2] == (4, 5)
        np.testing.assert_array_equal(windows[:, :, size // 2, size // 2], image[..., 0])
    example = {"image": image, "instances": (image[..., 0] > 9).astype(np.int32)}
    cut = sliding_window.cut_windows([example], 8, 3, seed=0)
    np.testing.assert_array_equal(cut["image"][:, 1, 1, 0] > 9, cut["label"] == 1)


def test_grey_and_coarse_images():
    x = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    grey = np.asarray(photo_restoration.to_grey(x))
    np.testing.assert_allclose(grey[..., 1], x @ photo_restoration.LUMA, rtol=1e-5)
    assert photo_restoration.saturation(grey) < 1e-6 < photo_restoration.saturation(x)
    assert photo_restoration.edges(np.asarray(photo_restoration.coarsen(x, 4))) < photo_restoration.edges(x)
