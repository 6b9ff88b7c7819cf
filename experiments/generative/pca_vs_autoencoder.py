"""A linear autoencoder learns the subspace of the principal components; a nonlinear one bends it and errs less.

    python -m experiments run pca_vs_autoencoder

Autoencoders with a code of the same few elements learn scikit-learn's digits by squared error. The linear one, whose
layers have no activation, is compared with the principal components by the largest angle between the two subspaces,
and by its squared error, of which theirs is the least that a linear map can reach. The nonlinear one has a hidden layer
before and after the code. The last figure shows the plane of two linear and of two nonlinear elements.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.linalg import subspace_angles

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
from jaxdl import generative, models, tasks

GOAL = {"angle_error": 5.0, "linear_excess_error": 0.01, "nonlinear_gain": 0.2}
"""Degrees; relative to the error of the principal components; the share of their test error that is saved."""


@dataclass(frozen=True)
class Config(ImageCodes):
    """Principal components against autoencoders."""

    code_size: int = 8
    """Elements of the code."""
    hidden_size: int = 128
    """Hidden units before and after the nonlinear code."""
    epochs: int = 300
    learning_rate: float = 1e-2


def run(config: Config, run: Run) -> dict[str, float]:
    """Fit the components and three autoencoders, compare, draw."""
    examples, test = load_images(config, run)
    shape = examples["image"].shape[1:]
    x, y = (part["image"].reshape(len(part["image"]), -1) for part in (examples, test))
    size = min(config.code_size, *x.shape)
    pca = jax.jit(partial(generative.principal_components, size=size))(x)
    learn = partial(fit, config, examples)
    linear = models.Autoencoder(shape, (size,))
    snapshots = Snapshots(lambda variables: variables["params"]["decoder_0"]["kernel"], range(config.epochs + 1))
    variables, _ = learn("linear", linear, snapshots)
    bent = models.Autoencoder(shape, (config.hidden_size, size))
    making = Snapshots(lambda variables: bent.apply(variables, test["image"][:10]), drawn_epochs(config.epochs))
    nonlinear, _ = learn("nonlinear", bent, making)
    plane = models.Autoencoder(shape, (config.hidden_size, 2))
    flat, _ = learn("two elements", plane, None)

    angles = {epoch: largest_angle(kernel, pca.directions) for epoch, kernel in snapshots.taken.items()}
    rebuilt = {
        "components": generative.reconstruct(pca, generative.project(pca, y)).reshape(-1, *shape),
        "linear": linear.apply(variables, test["image"]),
        "nonlinear": bent.apply(nonlinear, test["image"]),
    }
    errors = {name: float(np.mean(np.square(np.asarray(found) - test["image"]))) for name, found in rebuilt.items()}
    least = float(np.mean(np.square(np.asarray(generative.reconstruct(pca, generative.project(pca, x))) - x)))
    reached = float(np.mean(np.square(np.asarray(linear.apply(variables, examples["image"])) - examples["image"])))

    run.figure("angle", draw_angles(angles))
    rows = {"image": shown(test["image"][:10]), **{name: shown(found[:10]) for name, found in rebuilt.items()}}
    run.figure("reconstructions", image_rows(rows))
    learning = {f"epoch {epoch}": shown(images) for epoch, images in making.taken.items()}
    run.figure("learning", image_rows({"image": shown(test["image"][:10]), **learning}))
    decoder = np.asarray(variables["params"]["decoder_0"]["kernel"]).reshape(size, *shape)
    directions = np.asarray(pca.directions).reshape(size, *shape)
    atoms = {"components": [*directions[..., 0]], "linear decoder": [*decoder[..., 0]]}
    run.figure("directions", image_rows(atoms, kind="signed"))
    codes = {"two principal components": np.asarray(generative.project(pca, y))[:, :2]} | {
        "nonlinear code of two elements": np.asarray(plane.apply(flat, test["image"], method="encode"))
    }
    run.figure("planes", draw_planes(codes, test["label"]))
    return {
        "angle_error": angles[max(angles)],
        "linear_excess_error": reached / least - 1,
        "nonlinear_gain": 1 - errors["nonlinear"] / errors["components"],
        **{f"squared_{name}_error": error for name, error in errors.items()},
    }


def fit(
    config: Config, examples: dict[str, Any], name: str, model: models.Autoencoder, snapshots: Snapshots | None
) -> tuple[Any, Any]:
    """Train an autoencoder by squared error; the Gaussian likelihood has this error but for a factor and a constant."""
    task = tasks.autoencoding(model, likelihood=generative.gaussian_log_likelihood)
    return train_codes(config, name, task, examples, hooks=[snapshots] if snapshots else [])


def largest_angle(kernel: np.ndarray, directions: np.ndarray) -> float:
    """Return the largest angle between the row spaces of two matrices ``[K, D]``, in degrees."""
    return float(np.degrees(subspace_angles(np.asarray(kernel).T, np.asarray(directions).T).max()))


def draw_angles(angles: dict[int, float]) -> Figure:
    """Plot the largest angle between the two subspaces over the epochs."""
    figure, axis = plt.subplots(figsize=(5, 3.2))
    axis.plot(list(angles), list(angles.values()), color=COLOURS[0])
    axis.set(xlabel="epoch", ylabel="largest angle in degrees", yscale="log", title="linear decoder and components")
    return figure


def draw_planes(codes: dict[str, np.ndarray], labels: np.ndarray) -> Figure:
    """Plot the codes of the test images, coloured by their class."""
    figure, axes = plt.subplots(1, len(codes), figsize=(5 * len(codes), 4.4))
    for axis, (name, points) in zip(axes, codes.items(), strict=True):
        plot_embedding(axis, points, labels, [str(i) for i in range(int(labels.max()) + 1)])
        axis.set(title=name)
    return figure
