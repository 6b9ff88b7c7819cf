"""Seven autoencoders of digits: what their codes hold, and what the switches of unpooling hold beside them.

    python -m experiments run autoencoder

Dense autoencoders with codes of the same size, plain, with tied weights, sparse and contractive ones of sigmoid units,
and convolutional ones with transposed convolution and with unpooling, learn to reconstruct scikit-learn's digits.
Measured on test images are the squared error of the pixels, the mean activation of the code and the norm of its
Jacobian, and the accuracy of a linear classifier on the codes. The decoder that unpools also gets the switches of the
image: with those of another image it fails, which shows how much of the image they hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from experiments.harness.figures import COLOURS, bars
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
from jaxdl import generative, models, tasks, tree
from jaxdl.typing import Array, PyTree

NAMES = ("dense", "tied", "sigmoid", "sparse", "contractive", "transposed", "unpooling")
COMPARED = ("sigmoid", "sparse", "contractive", "unpooling")
GOAL = {"squared_dense_error": 0.01, "squared_transposed_error": 0.01, "sparse_activation_error": 0.1}
GOAL |= {"contraction": 2.0, "switches_lost": 2.0}
"""Squared errors a pixel; how many times smaller the Jacobian of the contractive code, and how many times larger the
error with the switches of another image."""


@dataclass(frozen=True)
class Config(ImageCodes):
    """Autoencoders of images with one channel."""

    SMOKE = {"epochs": 1, "batch_size": 16, "code_size": 4, "widths": (2, 2), "networks": COMPARED}
    CHOICES = {"networks": (NAMES, COMPARED)}

    networks: tuple[str, ...] = NAMES
    """Autoencoders; some are compared with each other."""

    code_size: int = 32
    """Units of the dense codes."""
    widths: tuple[int, ...] = (16, 8)
    """Channels of the convolutions; the last are those of the code."""
    target: float = 0.05
    """Mean activation of the sparse code."""
    sparsity: float = 1.0
    """Weight of the sparse penalty."""
    contraction: float = 1.0
    """Weight of the contractive penalty."""
    epochs: int = 40


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every autoencoder, measure, draw."""
    examples, test = load_images(config, run)
    shape, image = examples["image"].shape[1:], test["image"]
    found, results, learning = {}, {}, {}
    known = networks(config, shape)
    for name in config.networks:
        model, penalties = known[name]
        task = tasks.autoencoding(model, penalties=penalties)
        snapshots = Snapshots(partial(reconstruct, model, x=image[:1]), drawn_epochs(config.epochs))
        variables, _ = train_codes(config, name, task, examples, hooks=[snapshots])
        found[name] = model, variables
        results[name] = measure(model, variables, examples, test) | {"parameters": tree.size(variables)}
        learning[name] = [shown(image[:1])[0], *(shown(each)[0] for each in snapshots.taken.values())]
    swapped = swap_switches(*found["unpooling"], image)
    rebuilt = {name: shown(reconstruct(*found[name], image)[:10]) for name in found}
    rebuilt["other switches"] = shown(swapped[:10])
    run.figure("reconstructions", image_rows({"image": shown(image[:10]), **rebuilt}))
    titles = ["image", *(f"epoch {epoch}" for epoch in drawn_epochs(config.epochs))]
    run.figure("learning", image_rows(learning, titles))
    run.figure("features", draw_features(found, shape))
    run.figure("codes", draw_codes(results))
    lost = float(np.mean(np.square(np.asarray(swapped) - image)))
    return {
        **{f"squared_{name}_error": row["squared_error"] for name, row in results.items()},
        **{f"code_accuracy_{name}": row["accuracy"] for name, row in results.items()},
        "sparse_activation_error": results["sparse"]["activation"],
        "contraction": results["sigmoid"]["jacobian"] / results["contractive"]["jacobian"],
        "switches_lost": lost / results["unpooling"]["squared_error"],
    }


def networks(config: Config, shape: tuple[int, ...]) -> dict[str, tuple[linen.Module, list[Any]]]:
    """Make the networks with their penalties."""
    size, channels = config.code_size, shape[-1]
    sigmoid = models.Autoencoder(shape, (size,), code_activation="sigmoid")
    return {
        "dense": (models.Autoencoder(shape, (2 * size, size)), []),
        "tied": (models.TiedAutoencoder(shape, (2 * size, size)), []),
        "sigmoid": (sigmoid, []),
        "sparse": (sigmoid, [generative.sparse(config.sparsity, config.target)]),
        "contractive": (sigmoid, [generative.contractive(config.contraction)]),
        "transposed": (models.ConvAutoencoder(config.widths, channels), []),
        "unpooling": (models.UnpoolingAutoencoder(config.widths, channels), []),
    }


@partial(jax.jit, static_argnums=0)
def reconstruct(model: linen.Module, variables: PyTree, x: Array | np.ndarray) -> Array:
    """Return the reconstructed images, from 0 to 1."""
    logits: Any = model.apply(variables, x)
    return jax.nn.sigmoid(logits)


@partial(jax.jit, static_argnums=0)
def inspect(model: linen.Module, variables: PyTree, x: Array | np.ndarray) -> dict[str, Array]:
    """Return the codes ``[N, K]``, the squared error, and the norm of the Jacobian of the first codes."""
    encode: Any = partial(model.apply, variables, method="encode")
    return {
        "codes": encode(x).reshape(len(x), -1),
        "squared_error": jnp.mean(jnp.square(reconstruct(model, variables, x) - x)),
        "jacobian": jnp.sqrt(generative.contractive_penalty(encode, x[:50])),
    }


def measure(
    model: linen.Module, variables: PyTree, examples: Mapping[str, Any], test: Mapping[str, Any]
) -> dict[str, float]:
    """Measure the reconstruction of the test images and their codes."""
    learned, found = (jax.device_get(inspect(model, variables, part["image"])) for part in (examples, test))
    classifier = LogisticRegression(max_iter=2000).fit(learned["codes"], examples["label"])
    return {
        "squared_error": float(found["squared_error"]),
        "accuracy": float(classifier.score(found["codes"], test["label"])),
        "activation": float(np.mean(found["codes"])),
        "jacobian": float(found["jacobian"]),
    }


@partial(jax.jit, static_argnums=0)
def swap_switches(model: models.UnpoolingAutoencoder, variables: PyTree, image: Array | np.ndarray) -> Array:
    """Reconstruct images from their codes and the switches of the image before them."""
    found: Any = model.apply(variables, image, method="encode_with_switches")
    others = [jnp.roll(each, 1, axis=0) for each in found[1]]
    logits: Any = model.apply(variables, found[0], others, method="decode")
    return jax.nn.sigmoid(logits)


def draw_features(found: Mapping[str, tuple[linen.Module, PyTree]], shape: tuple[int, ...]) -> Figure:
    """Draw the weights from the pixels to the first units of the codes of one layer."""
    rows = {}
    for name in ("sigmoid", "sparse", "contractive"):
        kernel = np.asarray(found[name][1]["params"]["encoder_0"]["kernel"])
        chosen = np.argsort(-np.linalg.norm(kernel, axis=0))[:12]
        rows[name] = [kernel[:, unit].reshape(shape)[..., 0] for unit in chosen]
    return image_rows(rows, kind="signed")


def draw_codes(results: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the measurements of every autoencoder as bars."""
    names = {"squared_error": "squared error of a pixel", "accuracy": "accuracy of a linear classifier of the code"}
    names |= {"jacobian": "norm of the code's Jacobian"}
    figure, axes = plt.subplots(1, len(names), figsize=(13, 3))
    for axis, (measured, title) in zip(axes, names.items(), strict=True):
        values = {name: row[measured] for name, row in results.items()}
        bars(axis, values, [*COLOURS, "grey", "black"][: len(values)])
        axis.set(title=title)
    return figure
