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

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.vision.spectra import high_frequency_power
from experiments.vision import drawings
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
    fine = {name: high_frequency_power(y, 0.25) / high_frequency_power(images, 0.25) for name, y in filtered.items()}
    constant = {name: abs(np.sum(point)) for name, point in points.items()}
    run.figure("photographs", drawings.draw_photographs(images, filtered, GREY, KEEPS))
    run.figure("responses", drawings.draw_responses(points))
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
