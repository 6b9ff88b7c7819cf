"""Accuracy under attack, with and without adversarial training, on scikit-learn's digits.

    python -m experiments run adversarial
    python -m experiments run adversarial --data mnist --data-dir FOLDER --seeds 2 --epochs 2

A small convolutional network learns from images, or from those that a PGD attack of its own parameters makes of them in
every step (Madry et al., 2018). Both are attacked on held-out images by FGSM, by 20 steps of PGD from a random start,
and by noise of the same size, for each radius epsilon in the largest norm, where pixels are from 0 to 1. Intervals are
over seeds. ``fooled`` is the share of noise images that 100 steps turn into a chosen class of the first network, and
``confidence`` their mean probability of it. The ROC curves are those of low confidence as a detector of PGD.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.configuration import require
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.interpret.maps import plot_roc
from experiments.harness.members import Repeated, train_in_own_orders
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import plot_interval
from jaxdl import data, interpret, losses, metrics, optim, tree
from jaxdl.nn import Conv
from jaxdl.typing import Array, Batch, Key, PyTree

RATE, BATCH = 3e-3, 64
ATTACKS: dict[str, Callable[..., Array]] = {
    "noise": lambda loss, x, e, key: jnp.clip(x + e * jnp.sign(jax.random.normal(key, x.shape)), 0, 1),
    "FGSM": lambda loss, x, e, key: interpret.fgsm(loss, x, e),
    "PGD": lambda loss, x, e, key: interpret.pgd(loss, x, e, e / 8, 20, key=key),
}
TRAININGS = ("plain", "adversarial")


class Net(linen.Module):
    """Two 3x3 convolutions, the second with a stride of 2, and two dense layers."""

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Return the logits ``[B, 10]`` of images ``[B, H, W, 1]``."""
        for number in (1, 2):
            x = linen.relu(Conv(16 * number, (3, 3), stride=number, padding=1)(x))
        return linen.Dense(10)(linen.relu(linen.Dense(64)(x.reshape(len(x), -1))))


@dataclass(frozen=True)
class Config(Repeated):
    """Accuracy against the radius of an attack."""

    SMOKE = {
        "seeds": 2,
        "epochs": 1,
        "epsilons": (0.1,),
        "examples": 4,
        "steps": 1,
        "attacks": ("FGSM",),
        "trainings": ("adversarial",),
    }

    data: Literal["digits", "mnist"] = "digits"
    """Images."""
    data_dir: Path | None = None
    """Folder with the files of mnist."""
    trainings: tuple[Literal["plain", "adversarial"], ...] = TRAININGS
    """Kinds of training."""
    seeds: int = 5
    """Independent networks of each kind."""
    attacks: tuple[Literal["noise", "FGSM", "PGD"], ...] = ("noise", "FGSM", "PGD")
    """Attacks."""
    epsilons: tuple[float, ...] = (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3)
    """Radii of the attacks."""
    training_epsilon: float = 0.15
    """Radius of the attack in adversarial training."""
    steps: int = 5
    """Steps of that attack."""
    examples: int | None = None
    """Images of the training and of the test; all by default, at most 1000 of the test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(0 <= e <= 1 for e in self.epsilons), "epsilons", "numbers from 0 to 1", self.epsilons)
        require(0 < self.training_epsilon <= 1, "training_epsilon", "in (0, 1]", self.training_epsilon)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with and without attacks, attack, draw."""
    with preparing():
        dataset = data.load(config.data, config.data_dir)
    train_set = tree.take(dict(dataset.train), slice(config.examples))
    test_set = tree.take(dict(dataset.test), slice(config.examples or 1000))
    accuracies, params = {}, {}
    for training in config.trainings:
        run.console.print(f"{training} training")
        params[training] = learn(config, training, train_set)
        found = jax.device_get(attack_all(config, params[training], test_set))
        accuracies |= {(training, attack): values for attack, values in found.items()}
    run.figure("accuracy", draw(config, accuracies))
    examples, certain, fooled = jax.device_get(show_attacks(config, params, test_set))
    rows = {name: [image.squeeze() for image in examples[name]] for name in ("image", *config.trainings, "fooling")}
    titles = [f"label {label}\nfooling as {number}" for number, label in enumerate(test_set["label"][:8])]
    run.figure("examples", image_rows(rows, titles, size=1.2))
    run.figure("detection", draw_detection(config, certain))
    result = {
        f"{training}_{attack}_{epsilon:g}": float(values[:, number].mean())
        for (training, attack), values in accuracies.items()
        for number, epsilon in enumerate(config.epsilons)
    }
    return {**result, "fooled": float(np.mean(fooled > 0.5)), "confidence": float(fooled.mean())}


def logits_of(params: PyTree) -> Callable[[Array], Array]:
    """Return the network's function from images to logits."""
    return lambda x: Net().apply({"params": params}, x)


def learn(config: Config, training: str, arrays: Batch) -> PyTree:
    """Train one network for every seed; return the parameters ``[seeds, ...]``."""
    epsilon = config.training_epsilon

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        logits, x = logits_of(variables["params"]), batch["image"]
        if training == "adversarial":
            away = interpret.untargeted_loss(logits, batch["label"])
            x = interpret.pgd(away, x, epsilon, 2 * epsilon / config.steps, config.steps, key=key)
        return losses.cross_entropy(logits(x), batch["label"]), ({}, {})

    def init(key: Key) -> PyTree:
        return Net().init(key, jnp.zeros((1, *arrays["image"].shape[1:])))

    state, _ = train_in_own_orders(config, loss, optim.adam(RATE), init, arrays, batch_size=BATCH)
    return state.params


@partial(jax.jit, static_argnums=0)
def attack_all(config: Config, params: PyTree, arrays: Batch) -> dict[str, Array]:
    """Return the accuracy under every attack, ``[seeds, epsilons]``."""
    x, labels, key = arrays["image"], arrays["label"], jax.random.key(config.seed)

    def accuracy(attack: Callable[..., Array], params: PyTree, epsilon: Array) -> Array:
        logits = logits_of(params)
        return metrics.accuracy(logits(attack(interpret.untargeted_loss(logits, labels), x, epsilon, key)), labels)

    def of_seed(attack: Callable[..., Array]) -> Callable[[PyTree], Array]:
        return lambda params: jax.lax.map(partial(accuracy, attack, params), jnp.asarray(config.epsilons))

    return {name: jax.lax.map(of_seed(ATTACKS[name]), params) for name in config.attacks}


@partial(jax.jit, static_argnums=0)
def show_attacks(config: Config, params: PyTree, arrays: Batch) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Attack the first network of each kind, and make fooling images of noise for the first.

    Return eight pictures of each, the confidence in all images and in their attacks ``[2, N]`` by training, and the
    probabilities of the targets of the fooling images.
    """
    x, epsilon, pictures, certain = arrays["image"], config.training_epsilon, {"image": arrays["image"][:8]}, {}
    for training in config.trainings:
        logits = logits_of(tree.take(params[training], 0))
        attacked = interpret.pgd(interpret.untargeted_loss(logits, arrays["label"]), x, epsilon, epsilon / 8, 20)
        pictures[training] = attacked[:8]
        certain[training] = jnp.stack([interpret.confidence(logits(images)) for images in (x, attacked)])
    logits, targets = logits_of(tree.take(params[config.trainings[0]], 0)), jnp.arange(len(pictures["image"]))
    key, shape = jax.random.key(config.seed), x.shape[1:]
    pictures["fooling"] = interpret.fooling_images(logits, targets, shape, key, step_size=0.2, steps=100)
    probabilities = jax.nn.softmax(logits(pictures["fooling"]))
    return pictures, certain, jnp.take_along_axis(probabilities, targets[:, None], axis=1)


def draw(config: Config, accuracies: dict[tuple[str, str], np.ndarray]) -> Figure:
    """Draw the accuracy over the radius, with intervals over the seeds."""
    figure, axes = plt.subplots(1, len(config.trainings), figsize=(9.5, 3.6), sharey=True, squeeze=False)
    for axis, training in zip(axes[0], config.trainings, strict=True):
        for attack, colour in zip(config.attacks, COLOURS, strict=False):
            plot_interval(axis, config.epsilons, accuracies[training, attack], colour, highest=1, label=attack)
        axis.set(xlabel="epsilon", title=f"{training} training", ylim=(0, 1.02))
    axes[0, -1].axvline(config.training_epsilon, color="gray", linestyle=":")
    axes[0, 0].set_ylabel("accuracy on held-out images")
    axes[0, 0].legend(frameon=False)
    return figure


def draw_detection(config: Config, certain: dict[str, np.ndarray]) -> Figure:
    """Draw the ROC curve of low confidence as a detector of attacked images."""
    figure, axis = plt.subplots(figsize=(4.2, 4))
    labels = np.repeat([0, 1], len(certain[config.trainings[0]][0]))
    plot_roc(axis, {f"{training} training": -certain[training].ravel() for training in config.trainings}, labels)
    axis.set_title("Low confidence detects attacks?", fontsize=10)
    return figure
