"""A variational autoencoder draws digits, and three ways to measure it: bound, tighter bound, likelihood.

    python -m experiments run vae
    python -m experiments run vae --data mnist --data-dir FOLDER --latent-size 20 --hidden-sizes 400

The images are binary, so that bounds of their likelihood are in nats of a probability. The evidence lower bound of the
test images is compared with the importance-weighted bound, which tends to the likelihood as its samples grow. Further
models with other weights ``beta`` of the divergence trade the reconstruction for the nats of the code, and one with
free nats and one with two latent variables, whose plane is drawn, end the comparison. A latent variable is in use if
its mean divergence is above 0.05 nats.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from experiments.harness.figures import COLOURS
from experiments.harness.generative.autoencoders import (
    ImageCodes,
    Snapshots,
    drawn_epochs,
    load_images,
    shown,
    train_codes,
)
from experiments.harness.interpret.maps import plot_embedding
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import generative, tasks, train
from jaxdl.models import VAE
from jaxdl.typing import Array, Key, PyTree

GOAL = {"negative_likelihood_error": 17.0, "gap_error": 1.5, "gain_over_pixels": 5.0}
"""Nats an image of the digits: the estimate; its distance from the bound; against independent pixels."""
USED = 0.05


@dataclass(frozen=True)
class Config(ImageCodes):
    """A variational autoencoder of binary images."""

    SMOKE = {"epochs": 1, "batch_size": 8, "betas": (), "hidden_sizes": (4,), "samples": 2, "latent_size": 2}

    hidden_sizes: tuple[int, ...] = (128,)
    """Units of the encoder's hidden layers, which the decoder mirrors."""
    latent_size: int = 12
    """Latent variables."""
    betas: tuple[float, ...] = (0.25, 0.5, 2.0, 4.0)
    """Other weights of the divergence."""
    least_nats: float = 0.2
    """Free nats of each latent variable, in one more model."""
    samples: int = 500
    """Samples in the estimate of the likelihood."""
    epochs: int = 150


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, measure in three ways, compare weights, draw."""
    examples, test = load_images(config, run, binary=True)
    image, key = test["image"], jax.random.key(config.seed)
    shape = image.shape[1:]
    model = VAE(shape, config.hidden_sizes, config.latent_size)
    noise = jax.random.normal(jax.random.key(config.seed + 1), (10, config.latent_size))
    snapshots = Snapshots(partial(decode, model, z=noise), drawn_epochs(config.epochs))
    variables, history = train_codes(
        config, run.name, tasks.variational_autoencoding(model, key), examples, test=test, hooks=[snapshots]
    )
    train.weights.save(run.directory / "weights.safetensors", variables)
    bounds = measure_bounds(model, variables, image, config.samples, key)
    found = {"beta 1": rates(model, variables, image, key)}
    settings = [(f"beta {beta:g}", {"beta": beta}) for beta in config.betas]
    for name, options in [*settings, (f"{config.least_nats:g} free nats", {"least_nats": config.least_nats})]:
        other, _ = train_codes(config, name, tasks.variational_autoencoding(model, key, **options), examples)
        found[name] = rates(model, other, image, key)
    flat = VAE(shape, config.hidden_sizes, 2)
    plane, _ = train_codes(config, "two variables", tasks.variational_autoencoding(flat, key), examples)

    learning = {f"epoch {epoch}": shown(images) for epoch, images in snapshots.taken.items()}
    run.figure("learning", image_rows(learning))
    run.figure("reconstructions", image_rows(rebuild(model, variables, image[:10])))
    run.figure("walk", image_rows(walk(model, variables, image, test["label"])))
    run.figure("plane", draw_plane(flat, plane, image, test["label"]))
    run.figure("bounds", draw_bounds(bounds, found, history))
    pixels = np.clip(examples["image"].mean(0), 1e-3, 1 - 1e-3)
    independent = -np.sum(image * np.log(pixels) + (1 - image) * np.log(1 - pixels), axis=(1, 2, 3)).mean()
    likelihood, bound = bounds[max(bounds)], bounds[1]
    return {
        "negative_likelihood_error": -likelihood,
        "negative_bound_error": -bound,
        "gap_error": likelihood - bound,
        "gain_over_pixels": float(independent) + likelihood,
        "latents_in_use": int(np.sum(found["beta 1"]["each"] > USED)),
        **{f"bits_{name.replace(' ', '_')}": row["kl"] / np.log(2) for name, row in found.items()},
    }


def make_sampler(config: Config, count: int) -> Callable[[PyTree, Key], Array]:
    """Make ``sample(variables, key)``, which draws latent vectors and returns the probabilities of the pixels."""

    def sample(variables: PyTree, key: Key) -> Array:
        side = math.isqrt(variables["params"]["decoder"]["output"]["bias"].size)
        model = VAE((side, side, 1), config.hidden_sizes, config.latent_size)
        return decode(model, variables, jax.random.normal(key, (count, config.latent_size)))

    return sample


def decode(model: VAE, variables: PyTree, z: Array) -> Array:
    """Return the probabilities of the pixels for latent vectors ``[N, D]``."""
    logits: Any = model.apply(variables, z, method="decode")
    return jax.nn.sigmoid(logits)


def functions(model: VAE, variables: PyTree) -> tuple[Any, Any]:
    """Return the encoder and the log-likelihood of a model."""

    def log_likelihood(x: Array, z: Array) -> Array:
        logits: Any = model.apply(variables, z, method="decode")
        return generative.bernoulli_log_likelihood(logits, x)

    return partial(model.apply, variables, method="encode"), log_likelihood


def measure_bounds(model: VAE, variables: PyTree, image: np.ndarray, samples: int, key: Key) -> dict[int, float]:
    """Return the mean importance-weighted bound of images with 1, 5, 50 and all samples, each estimated from all."""
    encode, log_likelihood = functions(model, variables)

    @jax.jit
    def weigh(x: Array, key: Key) -> Array:
        noise = jax.random.normal(key, (samples, len(x), model.latent_size))
        return generative.importance_log_weights(encode, log_likelihood, x, noise)

    parts = np.array_split(image, max(1, len(image) // 100))
    keys = jax.random.split(key, len(parts))
    log_weights = np.concatenate([weigh(part, each) for part, each in zip(parts, keys, strict=True)], axis=1)
    counts = sorted({count for count in (1, 5, 50, samples) if samples % count == 0})
    grouped = {count: jnp.asarray(log_weights).reshape(-1, count, len(image)).swapaxes(0, 1) for count in counts}
    return {count: float(jnp.mean(generative.importance_weighted_bound(each))) for count, each in grouped.items()}


def rates(model: VAE, variables: PyTree, image: np.ndarray, key: Key) -> dict[str, Any]:
    """Return the mean reconstruction and divergence of images, and the divergence of ``each`` latent variable."""
    encode, log_likelihood = functions(model, variables)

    @jax.jit
    def measure(x: Array) -> dict[str, Array]:
        noise = jax.random.normal(key, (len(x), model.latent_size))
        bound = generative.evidence_lower_bound(encode, log_likelihood, x, noise)
        return {"reconstruction": -jnp.mean(bound.log_likelihood), "each": jnp.mean(bound.kl, axis=0)}

    found = jax.device_get(measure(image))
    return {"reconstruction": float(found["reconstruction"]), "kl": float(found["each"].sum()), "each": found["each"]}


def rebuild(model: VAE, variables: PyTree, image: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return images and their reconstructions from the mean of the posterior."""
    logits: Any = model.apply(variables, image)
    return {"image": shown(image), "rebuilt": shown(jax.nn.sigmoid(logits))}


def walk(model: VAE, variables: PyTree, image: np.ndarray, label: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return the images on straight lines between the codes of images of different classes."""
    mean = np.asarray(functions(model, variables)[0](image)[0])
    firsts = [int(np.flatnonzero(label == each)[0]) for each in np.unique(label)[:5]]
    share = np.linspace(0, 1, 10, dtype=np.float32)[:, None]
    return {
        f"{label[a]} to {label[b]}": shown(decode(model, variables, (1 - share) * mean[a] + share * mean[b]))
        for a, b in pairwise(firsts)
    }


def draw_plane(model: VAE, variables: PyTree, image: np.ndarray, label: np.ndarray, side: int = 12) -> Figure:
    """Draw what a grid of two latent variables decodes to, at equal steps of probability, and the codes of images."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.8))
    places = stats.norm.ppf(np.linspace(0.02, 0.98, side)).astype(np.float32)
    grid = np.stack(np.meshgrid(places, places[::-1]), axis=-1).reshape(-1, 2)
    pictures = np.asarray(decode(model, variables, grid))[..., 0]
    pictures = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), constant_values=0.5)
    height, width = pictures.shape[1:]
    tiled = pictures.reshape(side, side, height, width).swapaxes(1, 2).reshape(side * height, side * width)
    axes[0].imshow(tiled, cmap="gray", vmin=0, vmax=1)
    axes[0].set(xticks=[], yticks=[], title="the plane of two latent variables, decoded")
    axes[0].grid(visible=False)
    mean = np.asarray(functions(model, variables)[0](image)[0])
    plot_embedding(axes[1], mean, label, [str(i) for i in range(int(label.max()) + 1)])
    axes[1].set(title="means of the test images")
    return figure


def draw_bounds(
    bounds: Mapping[int, float], found: Mapping[str, Mapping[str, Any]], history: list[dict[str, Any]]
) -> Figure:
    """Plot the bounds, the reconstruction over the divergence, and the divergence of each latent variable."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    rows = [row for row in history if "evaluation/loss" in row]
    axes[0].plot([row["epoch"] for row in rows], [-row["evaluation/loss"] for row in rows], label="bound, learning")
    for (count, value), colour in zip(bounds.items(), COLOURS, strict=False):
        axes[0].axhline(value, color=colour, linestyle="--", linewidth=1, label=f"bound, K = {count}")
    axes[0].set(xlabel="epoch", ylabel="nats an image", title="log-likelihood of test images, from below")
    axes[0].set_ylim(min(bounds.values()) - 6, max(bounds.values()) + 1)
    for name, row in found.items():
        axes[1].plot(row["kl"], row["reconstruction"], "o", color=COLOURS[0] if "beta" in name else COLOURS[1])
        axes[1].annotate(
            name, (row["kl"], row["reconstruction"]), xytext=(4, 4), textcoords="offset points", fontsize=8
        )
    axes[1].set(xlabel="divergence in nats", ylabel="reconstruction in nats", title="code against reconstruction")
    for (name, row), colour in zip(found.items(), (*COLOURS, "grey", "black"), strict=False):
        axes[2].plot(np.sort(row["each"])[::-1], "o-", markersize=3, color=colour, label=name)
    axes[2].set(xlabel="latent variable, sorted", ylabel="divergence in nats")
    for axis in (axes[0], axes[2]):
        axis.legend(frameon=False, fontsize=8)
    return figure
