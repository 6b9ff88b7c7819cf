"""Fixed filters on photographs and their frequency responses: blur, sharpening, edges, high-pass.

    python -m experiments run filters

The filters of `jaxdl.nn.convolution.filters` on the two photographs of scikit-learn. The second figure shows each
kernel, as the response to a single point, and its frequency response. A blur must pass the constant and an edge filter
stop it: ``constant_error`` is the largest deviation. ``fine`` is the power in the upper half of the frequencies after
the filter, relative to that of the photographs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from jaxdl.data.files.downloads import require
from jaxdl.nn.convolution import filters
from jaxdl.typing import Array

GREY = np.array([0.299, 0.587, 0.114], np.float32)
LINEAR: dict[str, Callable[..., Array]] = {
    "box blur 5x5": lambda x, mode: filters.box_blur(x, 5, mode=mode),
    "Gaussian blur, sigma 2": lambda x, mode: filters.gaussian_blur(x, 2.0, mode=mode),
    "sharpen": lambda x, mode: filters.sharpen(x, mode=mode),
    "Laplacian": lambda x, mode: filters.laplacian(x, mode=mode),
    "Sobel, rows": lambda x, mode: filters.sobel(x, mode=mode)[0],
    "Sobel, columns": lambda x, mode: filters.sobel(x, mode=mode)[1],
    "high-pass, sigma 2": lambda x, mode: filters.high_pass(x, 2.0, mode=mode),
}
KEEPS = ("box blur 5x5", "Gaussian blur, sigma 2", "sharpen")
GOAL = {"constant_error": 1e-5}


@dataclass(frozen=True)
class Config(configuration.Config):
    """Fixed filters on photographs."""

    SMOKE = {"rows": 64}

    rows: int = 426
    """Rows of the photographs, from the top, with 1.5 times as many columns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.require(32 <= self.rows <= 426, "rows", "32 to 426", self.rows)


def run(config: Config, run: Run) -> dict[str, float]:
    """Filter the photographs, measure the responses, draw."""
    with preparing():
        images = photographs(config.rows)
    made = jax.device_get(jax.jit(filter_all)(images))
    filtered, points = ({name: part[name] for name in LINEAR} for part in made)
    fine = {name: power_of_fine(y) / power_of_fine(images) for name, y in filtered.items()}
    constant = {name: abs(np.sum(point)) for name, point in points.items()}
    run.figure("photographs", draw_photographs(images, filtered))
    run.figure("responses", draw_responses(points))
    wrong = max(abs(value - (name in KEEPS)) for name, value in constant.items())
    words = {name: name.replace(",", "").replace(" ", "_").replace("-", "_").lower() for name in LINEAR}
    return {"constant_error": float(wrong)} | {f"fine_{words[name]}": float(value) for name, value in fine.items()}


def photographs(rows: int) -> np.ndarray:
    """Return the temple and the flower, ``[2, rows, 1.5 rows, 3]`` from 0 to 1."""
    load = require("sklearn.datasets", "reading the photographs").load_sample_image
    images = np.stack([load("china.jpg"), load("flower.jpg")])
    return images[:, :rows, : rows * 3 // 2].astype(np.float32) / 255


def filter_all(images: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """Apply every filter to the photographs, and to a point in the middle of a torus."""
    point = jnp.zeros((33, 33, 1)).at[16, 16, 0].set(1.0)
    made = {name: apply(images, "symmetric") for name, apply in LINEAR.items()}
    return made, {name: apply(point, "wrap")[..., 0] for name, apply in LINEAR.items()}


def power_of_fine(images: np.ndarray) -> float:
    """Return the power above a quarter cycle per pixel in either direction, over all images.

    A Hann window suppresses the discontinuities at the borders.
    """
    window = np.hanning(images.shape[1])[:, None, None] * np.hanning(images.shape[2])[None, :, None]
    waves = np.abs(np.fft.fft2(images * window[None], axes=(1, 2))) ** 2
    fast = [np.abs(np.fft.fftfreq(n)) > 0.25 for n in images.shape[1:3]]
    return float(waves[:, fast[0][:, None] | fast[1][None]].sum())


def draw_photographs(images: np.ndarray, filtered: dict[str, np.ndarray]) -> Figure:
    """Draw each photograph under each filter; outputs without a mean in grey, with zero in the middle."""
    strength = np.sqrt(sum((filtered[f"Sobel, {part}"] @ GREY) ** 2 for part in ("rows", "columns")))
    panels = {"photograph": images, **filtered, "Sobel, strength": strength}
    figure, axes = plt.subplots(4, 5, figsize=(15, 8.6))
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (name, pictures) in enumerate(panels.items()):
        for which, picture in enumerate(pictures):
            axis = axes[2 * (number // 5) + which, number % 5]
            if name in ("photograph", *KEEPS):
                axis.imshow(np.clip(picture, 0, 1))
            else:
                grey = picture @ GREY if picture.ndim == 3 else picture
                limit = np.quantile(np.abs(grey), 0.99)
                axis.imshow(grey, cmap="gray", vmin=0 if name == "Sobel, strength" else -limit, vmax=limit)
            if which == 0:
                axis.set_title(name, fontsize=10)
    return figure


def draw_responses(points: dict[str, np.ndarray]) -> Figure:
    """Draw the kernel of each filter and the magnitude of its Fourier transform."""
    figure, axes = plt.subplots(2, len(points), figsize=(2.1 * len(points), 4.6))
    for (above, below), (name, point) in zip(axes.T, points.items(), strict=True):
        limit, middle = np.abs(point).max(), point[10:23, 10:23]
        above.imshow(middle, cmap="RdBu", vmin=-limit, vmax=limit)
        response = np.abs(np.fft.fftshift(np.fft.fft2(point)))
        below.imshow(response, cmap="gray", vmin=0, extent=[-0.5, 0.5, -0.5, 0.5])
        above.set_title(name, fontsize=9)
        below.set_title(f"passes {response.min():.1f} to {response.max():.1f}", fontsize=9)
        for axis in (above, below):
            axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("of a point")
    axes[1, 0].set_ylabel("of waves")
    return figure
