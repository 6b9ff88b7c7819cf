"""Sounds: words of formants and melodies that are made here, WAV files, distortions, spectrograms drawn."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import signal
from scipy.io import wavfile

from experiments.harness.errors import UsageError
from jaxdl.checks import shorten
from jaxdl.data.files.opening import open_regular
from jaxdl.data.spectrograms import spectrogram

VOWELS = {
    "a": (750, 1200, 2500),
    "e": (500, 1800, 2500),
    "i": (300, 2250, 3000),
    "o": (480, 850, 2400),
    "u": (320, 800, 2200),
}
"""Formants of vowels, in hertz."""
CONSONANTS = {"s": (2800, 3800), "f": (1200, 3600), "t": (1800, 3400), "k": (1200, 2200), "m": (150, 400)}
"""Bands of noise of consonants, in hertz."""
SCALE = (0, 2, 4, 7, 9, 12, 14, 16)
"""Steps of a melody, in semitones above 220 Hz."""


def spoken_words(random: np.random.Generator, count: int, rate: int) -> dict[str, np.ndarray]:
    """Speak different words of two syllables, ``[L]`` samples between -1 and 1."""
    words: dict[str, np.ndarray] = {}
    while len(words) < count:
        word = "".join(random.choice([*part]) for part in (CONSONANTS, VOWELS, CONSONANTS, VOWELS))
        if word not in words:
            pitch = random.uniform(100, 220)
            words[word] = normalized(np.concatenate([speak(random, letter, pitch, rate) for letter in word]))
    return words


def speak(random: np.random.Generator, letter: str, pitch: float, rate: int) -> np.ndarray:
    """Speak a letter: resonances of a pulse train, or a band of noise."""
    if letter in VOWELS:
        sound = np.zeros(int(0.2 * rate))
        sound[:: int(rate / pitch)] = 1
        for formant in VOWELS[letter]:
            sound = signal.lfilter(*signal.iirpeak(formant, formant / 120, fs=rate), sound) + 0.02 * sound
    else:
        low, high = CONSONANTS[letter]
        band = signal.butter(2, (low, min(high, 0.49 * rate)), "bandpass", fs=rate)
        sound = signal.lfilter(*band, random.normal(size=int((0.05 if letter in "tk" else 0.1) * rate)))
    return normalized(sound) * np.hanning(len(sound)) ** 0.5


def melody(random: np.random.Generator, seconds: float, rate: int) -> np.ndarray:
    """Play a random walk over a pentatonic scale, one tone of five harmonics every quarter of a second."""
    length, place, tones = rate // 4, 3, []
    time = np.arange(length) / rate
    for _ in range(int(np.ceil(seconds * 4))):
        place = int(np.clip(place + random.integers(-2, 3), 0, len(SCALE) - 1))
        pitch = 220 * 2 ** (SCALE[place] / 12)
        waves = [np.sin(2 * np.pi * pitch * k * time) / k**1.5 for k in range(1, 6) if pitch * k < rate / 2]
        tones.append(np.sum(waves, axis=0) * np.exp(-6 * time) * np.minimum(1, time * 200))
    return normalized(np.concatenate(tones)[: int(seconds * rate)])


def normalized(sound: np.ndarray, peak: float = 0.8) -> np.ndarray:
    """Scale a sound to a largest magnitude; silence stays silent."""
    return sound * (peak / max(np.abs(sound).max(initial=0), 1e-9))


def read_sounds(folder: Path, rate: int) -> dict[str, np.ndarray]:
    """Read all WAV files of a folder, in one channel at a sample rate, as ``[L]`` samples between -1 and 1.

    Raises:
        UsageError: there is none, or one is damaged.
    """
    paths = sorted(folder.glob("*.wav"))
    if not paths:
        raise UsageError(f"expected a folder with WAV files, got {shorten(folder)} without one")
    return {path.stem: read_sound(path, rate) for path in paths}


def read_sound(path: Path, rate: int) -> np.ndarray:
    """Read a WAV file; see `read_sounds`."""
    try:
        with open_regular(path) as file:
            own_rate, samples = wavfile.read(file)
    except Exception as error:  # a damaged file can raise anything
        raise UsageError(f"{shorten(path)}: expected a WAV file, got {error or type(error).__name__}") from error
    if samples.dtype == np.uint8:
        samples = samples.astype(np.int16) - 128
    sound = samples.astype(np.float64) if samples.ndim == 1 else samples.mean(axis=1)
    return normalized(signal.resample_poly(sound, rate, own_rate) if own_rate != rate else sound)


def write_sound(path: Path, sound: np.ndarray, rate: int) -> None:
    """Write samples between -1 and 1 as a WAV file of 16 bits."""
    wavfile.write(path, rate, (np.clip(sound, -1, 1) * 32767).astype(np.int16))


def distort(
    random: np.random.Generator, sound: np.ndarray, length: int, *, speed: float, noise: tuple[float, float]
) -> np.ndarray:
    """Speak at another speed, somewhere in ``length`` samples of noise.

    Args:
        random: the generator.
        sound: ``[L]``.
        length: of the result; what is longer is cut.
        speed: the largest relative change of the speed, which changes the pitch too.
        noise: the least and the largest ratio of the powers of sound and noise, in decibels.
    """
    factor = np.exp(random.uniform(-1, 1) * np.log1p(speed))
    positions = np.arange(0, len(sound) - 1, factor)
    changed = np.interp(positions, np.arange(len(sound)), sound)[:length]
    power = np.mean(changed**2) / 10 ** (random.uniform(*noise) / 10)
    result = random.normal(0, np.sqrt(power), length)
    start = random.integers(length - len(changed) + 1)
    result[start : start + len(changed)] += changed
    return result.astype(np.float32)


def draw_spectrograms(sounds: Mapping[str, np.ndarray], rate: int, *, columns: int = 4) -> Figure:
    """Draw the power of sounds over time and frequency, in decibels."""
    columns = min(columns, len(sounds))
    rows = -(-len(sounds) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 2.4 * rows), squeeze=False)
    for axis in axes.flat[len(sounds) :]:
        axis.set_axis_off()
    measure = jax.jit(partial(spectrogram, hop=64))
    for axis, (name, sound) in zip(axes.flat, sounds.items(), strict=False):
        power = 10 * np.log10(np.asarray(measure(sound.astype(np.float32))).T + 1e-6)
        extent = (0, len(sound) / rate, 0, rate / 2000)
        axis.imshow(power, origin="lower", aspect="auto", extent=extent, vmin=power.max() - 70, cmap="magma")
        axis.set_title(name, fontsize=9)
        axis.grid(visible=False)
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    for axis in axes[:, 0]:
        axis.set_ylabel("kHz")
    return figure
