"""The power of images at high frequencies, by the discrete Fourier transform."""

import jax.numpy as jnp
import numpy as np

from jaxdl.typing import Array


def high_frequency_share(images: Array, threshold: float) -> Array:
    """Return the share of the power of square images ``[B, N, N]`` above a frequency along rows or columns.

    The threshold is in cycles per pixel; a Hann window suppresses the discontinuities at the borders.
    """
    side = images.shape[-1]
    window = jnp.hanning(side)
    waves = jnp.abs(jnp.fft.fft2(images * window[None, :, None] * window[None, None])) ** 2
    high = np.abs(np.fft.fftfreq(side)) > threshold
    band = high[:, None] | high[None]
    return jnp.sum(waves * band[None]) / jnp.sum(waves)


def high_frequency_power(images: np.ndarray, threshold: float) -> float:
    """Return the power above a frequency along rows or columns, over all images ``[B, H, W, C]``, windowed as above."""
    window = np.hanning(images.shape[1])[:, None, None] * np.hanning(images.shape[2])[None, :, None]
    waves = np.abs(np.fft.fft2(images * window[None], axes=(1, 2))) ** 2
    high = [np.abs(np.fft.fftfreq(n)) > threshold for n in images.shape[1:3]]
    return float(waves[:, high[0][:, None] | high[1][None]].sum())
