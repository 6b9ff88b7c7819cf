"""Spectrograms of sound, mel filters, and the augmentation of spectrograms."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import expand_leading, square_modulus, to_floating
from jaxdl.checks import check_in_range, check_positive_integer, is_integer
from jaxdl.typing import Array, ArrayLike, Key


def spectrogram(x: ArrayLike, *, window_size: int = 256, hop: int = 128) -> Array:
    """Compute the power ``|sum_n w_n x_(tH + n) exp(-2 pi i k n / N)|^2`` of frames under a periodic Hann window.

    Args:
        x: samples ``[..., L]``; those after the last whole frame are not used.
        window_size: ``N``.
        hop: ``H``, samples between two frames.

    Returns:
        ``[..., T, N / 2 + 1]`` with ``T = (L - N) / H + 1``; bin ``k`` is at ``k / N`` of the sample rate.

    Raises:
        ValueError: the samples are fewer than a window.

    >>> power = spectrogram(jnp.sin(2 * jnp.pi * jnp.arange(512) / 8), window_size=64, hop=32)
    >>> power.shape, int(power[3].argmax())
    ((15, 33), 8)
    """
    check_positive_integer("window_size", window_size)
    check_positive_integer("hop", hop)
    x = to_floating(x)
    if x.ndim < 1 or x.shape[-1] < window_size:
        raise ValueError(f"expected at least {window_size} samples, got {x.shape}; pad the sound with zeros")
    starts = np.arange(0, x.shape[-1] - window_size + 1, hop)
    frames = x[..., starts[:, None] + np.arange(window_size)]
    window = jnp.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_size) / window_size), x.dtype)
    return square_modulus(jnp.fft.rfft(frames * expand_leading(window, frames.ndim)))


def mel_filters(
    num_filters: int, num_bins: int, sample_rate: float, *, low: float = 0.0, high: float | None = None
) -> np.ndarray:
    """Return triangles of equal width on the mel scale ``m = 2595 log10(1 + f / 700)``, ``[num_bins, num_filters]``.

    Each rises from the centre of the one before to its own, of height 1, and falls to that of the next.

    Args:
        num_filters: number of triangles.
        num_bins: of the spectrogram, ``N / 2 + 1``.
        sample_rate: in hertz.
        low: where the first triangle begins, in hertz.
        high: where the last ends; by default half of the sample rate.

    Raises:
        ValueError: the frequencies do not rise from 0 to half of the sample rate.

    >>> [round(float(height), 2) for height in mel_filters(3, 9, 8000)[:4, 0]]
    [0.0, 0.89, 0.17, 0.0]
    """
    check_positive_integer("num_filters", num_filters)
    check_positive_integer("num_bins", num_bins)
    high = sample_rate / 2 if high is None else high
    if not 0 <= low < high <= sample_rate / 2:
        raise ValueError(f"expected 0 <= low < high <= {sample_rate / 2:g}, got low={low:g} and high={high:g}")
    first, last = 2595 * np.log10(1 + np.array([low, high]) / 700)
    mels = np.linspace(first, last, num_filters + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    bins = np.linspace(0, sample_rate / 2, num_bins)[:, None]
    rising = (bins - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(
    x: ArrayLike, sample_rate: float, *, num_filters: int = 32, window_size: int = 256, hop: int = 128
) -> Array:
    """Compute the logarithm of the power in mel bands, ``ln(S M + 1e-6)``, ``[..., T, num_filters]``.

    >>> log_mel(jnp.ones((2, 512)), 8000.0, num_filters=8).shape
    (2, 3, 8)
    """
    power = spectrogram(x, window_size=window_size, hop=hop)
    filters = jnp.asarray(mel_filters(num_filters, power.shape[-1], sample_rate), power.dtype)
    return jnp.log(jnp.matmul(power, filters) + 1e-6)


def spec_augment(
    key: Key,
    x: ArrayLike,
    *,
    time_width: int = 10,
    frequency_width: int = 8,
    time_masks: int = 2,
    frequency_masks: int = 2,
    fill: ArrayLike = 0.0,
) -> Array:
    """Mask random spans of time and bands of frequency in spectrograms, others in each.

    Each mask is ``[s, s + w)`` of ``n`` steps or bands, with ``w`` uniform in ``0 .. width`` and ``s`` uniform in
    ``0 .. n - w``.

    Args:
        key: of the random numbers.
        x: ``[B, T, F]`` or ``[B, T, F, C]``.
        time_width: the largest number of steps under a mask, at most ``T``.
        frequency_width: the largest number of bands under a mask, at most ``F``.
        time_masks: number of masks over time.
        frequency_masks: number of masks over frequency.
        fill: what the masked elements become; 0 is the mean of standardized spectrograms.

    Raises:
        ValueError: the rank is another, or a width is larger than the spectrogram.

    Source: Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition" (2019).

    >>> spec_augment(jax.random.key(0), jnp.ones((2, 20, 10))).shape
    (2, 20, 10)
    """
    x = to_floating(x)
    if x.ndim not in (3, 4):
        raise ValueError(f"expected spectrograms [B, T, F] or [B, T, F, C], got {x.shape}")
    check_in_range("time_width", time_width, 0, x.shape[1])
    check_in_range("frequency_width", frequency_width, 0, x.shape[2])
    for name, count in (("time_masks", time_masks), ("frequency_masks", frequency_masks)):
        if not is_integer(count) or count < 0:
            raise ValueError(f"expected {name} to be a number of masks, got {count!r}")
    time_key, frequency_key = jax.random.split(key)
    hidden_steps = _spans(time_key, x.shape[0], x.shape[1], time_masks, time_width)
    hidden_bands = _spans(frequency_key, x.shape[0], x.shape[2], frequency_masks, frequency_width)
    hidden = hidden_steps[:, :, None] | hidden_bands[:, None, :]
    return jnp.where(hidden.reshape(hidden.shape + (1,) * (x.ndim - 3)), jnp.asarray(fill, x.dtype), x)


def _spans(key: Key, rows: int, size: int, count: int, width: int) -> Array:
    """Return True in ``count`` random spans of every row, ``[rows, size]``."""
    width_key, start_key = jax.random.split(key)
    widths = jax.random.randint(width_key, (rows, count, 1), 0, width + 1)
    starts = jax.random.randint(start_key, (rows, count, 1), 0, size - widths + 1)
    places = jnp.arange(size).reshape(1, 1, size)
    return jnp.any((places >= starts) & (places < starts + widths), axis=1)
