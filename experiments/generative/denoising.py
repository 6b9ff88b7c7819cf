"""A denoising autoencoder removes noise that a plain one, principal components and filters leave.

    python -m experiments run denoising

Autoencoders with a hidden layer larger than the image learn scikit-learn's digits: from the clean images, or from
images with Gaussian noise, with pixels set to 0, or with pixels set to 0 or 1. On noisy test images the squared error
of each is compared with that of the noisy images themselves, a projection on principal components (of the number that
is best for these test images), and SciPy's median and Gaussian filters. The last figure shows all at other amounts of
noise than the one that was learned.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import ndimage

from experiments.harness.figures import COLOURS
from experiments.harness.generative.autoencoders import (
    ImageCodes,
    Snapshots,
    drawn_epochs,
    load_images,
    shown,
    train_codes,
)
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import generative, models, nn, tasks
from jaxdl.typing import Array, Key

KINDS: dict[str, Callable[[Key, Array, Any], Array]] = {
    "gaussian": nn.gaussian_noise,
    "masking": generative.masking_noise,
    "salt and pepper": generative.salt_and_pepper_noise,
}
GOAL = {f"gain_{name.replace(' ', '_')}": 1.5 for name in KINDS}
"""How many times smaller the squared error is than that of the best of the other ways."""
SHARES = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Amounts of noise in tests, of the one that was learned."""


@dataclass(frozen=True)
class Config(ImageCodes):
    """Denoising autoencoders against filters."""

    SMOKE = {"epochs": 1, "batch_size": 8, "hidden_size": 8, "kinds": ("masking",)}
    CHOICES = {"kinds": (tuple(KINDS), ())}

    kinds: tuple[str, ...] = tuple(KINDS)
    """Kinds of noise."""
    amount: float = 0.4
    """Standard deviation of the Gaussian noise; share of the pixels that are replaced."""
    hidden_size: int = 512
    """Units of the hidden layer."""
    epochs: int = 200
    learning_rate: float = 2e-3


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with and without each kind of noise, clean the noisy test images in every way, draw."""
    examples, test = load_images(config, run)
    shape, clean = examples["image"].shape[1:], test["image"]
    model = models.Autoencoder(shape, (config.hidden_size,), code_activation="relu")
    plain, _ = train_codes(config, "plain", tasks.autoencoding(model), examples)
    rebuild = jax.jit(lambda variables, x: jax.nn.sigmoid(model.apply(variables, x)))  # pyright: ignore
    result = {}
    for kind in config.kinds:
        corrupt = partial(add_noise, kind, config.amount)
        noisy = np.asarray(corrupt(jax.random.key(config.seed + 1), clean))
        snapshots = Snapshots(partial(rebuild, x=noisy[:10]), drawn_epochs(config.epochs))
        task = tasks.autoencoding(model, corrupt=corrupt)
        variables, _ = train_codes(config, kind, task, examples, hooks=[snapshots])
        ways = {
            "noisy": lambda x: x,
            "median filter": lambda x: ndimage.median_filter(x, (1, 3, 3, 1)),
            "Gaussian filter": lambda x: ndimage.gaussian_filter(x, (0, 0.7, 0.7, 0)),
            "components": partial(project_best, examples["image"], clean),
            "plain": lambda x: np.asarray(rebuild(plain, x)),
            "denoising": lambda x, variables=variables: np.asarray(rebuild(variables, x)),
        }
        cleaned = {name: way(noisy) for name, way in ways.items()}
        errors = {name: float(np.mean(np.square(each - clean))) for name, each in cleaned.items()}
        curves = {name: [] for name in ways}
        for share in SHARES:
            other = np.asarray(add_noise(kind, share * config.amount, jax.random.key(config.seed + 2), clean))
            for name, way in ways.items():
                curves[name].append(float(np.mean(np.square(way(other) - clean))))
        word = kind.replace(" ", "_")
        run.figure(f"{word}_images", image_rows({"clean": shown(clean[:10]), **_rows(cleaned)}))
        learning = {f"epoch {epoch}": shown(images) for epoch, images in snapshots.taken.items()}
        run.figure(f"{word}_learning", image_rows({"noisy": shown(noisy[:10]), **learning}))
        run.figure(f"{word}_amounts", draw_amounts(kind, np.array(SHARES) * config.amount, curves))
        result |= {f"squared_{word}_{name.replace(' ', '_')}_error": error for name, error in errors.items()}
        result[f"gain_{word}"] = (
            min(error for name, error in errors.items() if name != "denoising") / errors["denoising"]
        )
    return result


def add_noise(kind: str, amount: float, key: Key, x: Any) -> Array:
    """Add noise of a kind; an amount above 1 sets all pixels."""
    return KINDS[kind](key, x, amount if kind == "gaussian" else min(amount, 1.0))


def project_best(train: np.ndarray, clean: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Project noisy images on as many components of the training images as have the least error here."""
    x, y = (each.reshape(len(each), -1) for each in (train, noisy))
    pca = generative.principal_components(x, min(x.shape))
    z, directions = np.asarray(generative.project(pca, y)), np.asarray(pca.directions)
    found = [z[:, :size] @ directions[:size] + np.asarray(pca.mean) for size in range(1, len(directions) + 1)]
    target = clean.reshape(len(clean), -1)
    return min(found, key=lambda each: float(np.mean(np.square(each - target)))).reshape(noisy.shape)


def _rows(images: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return the first images of each way, for drawing."""
    return {name: shown(each[:10]) for name, each in images.items()}


def draw_amounts(kind: str, amounts: np.ndarray, curves: Mapping[str, list[float]]) -> Figure:
    """Plot the error of every way over the amount of noise."""
    figure, axis = plt.subplots(figsize=(5.5, 3.6))
    for (name, errors), colour in zip(curves.items(), ("grey", *COLOURS), strict=True):
        axis.plot(amounts, errors, "o-", markersize=3, color=colour, label=name)
    axis.axvline(amounts[SHARES.index(1.0)], color="grey", linestyle=":", linewidth=1)
    axis.set(xlabel=f"amount of {kind} noise; dotted, the one that was learned", ylabel="squared error of a pixel")
    axis.set_yscale("log")
    axis.legend(frameon=False, fontsize=8)
    return figure
