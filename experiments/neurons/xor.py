"""A single neuron cannot learn XOR; a network with one hidden layer can.

    python -m experiments run xor

A sigmoid neuron and networks with one to eight hidden units learn the four examples by gradient descent from 200 random
initializations each; so does a perceptron. Counted are the runs in which all four answers are correct.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.figures import COLOURS
from experiments.harness.learning import check_learned, fit_one_batch
from experiments.harness.run_folder import Run
from jaxdl import losses, models, optim
from jaxdl.models import neurons
from jaxdl.typing import Array, Batch, Key, PyTree

GOAL = {"solved_by_8_hidden_units": 0.99}
INPUTS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
TABLE = np.array([0, 1, 1, 0], np.float32)
SIDE = 101
PLANE = np.stack(np.meshgrid(*[np.linspace(-2, 2, SIDE, dtype=np.float32)] * 2), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class Config(configuration.Config):
    """A sigmoid neuron and networks with one hidden layer of tanh units, trained by gradient descent."""

    SMOKE = {"seeds": 2, "steps": 2, "widths": (1, 2)}

    seeds: int = 200
    """Independent runs."""
    steps: int = 1000
    """Updates, each on all four examples."""
    widths: tuple[int, ...] = (1, 2, 3, 4, 8)
    """Numbers of hidden units; 2 must be one of them."""
    learning_rate: float = 0.5
    """Learning rate."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=1, steps=1)
        configuration.require(2 in self.widths, "widths", "a list with 2", self.widths)
        configuration.positive(self, "learning_rate")


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the neuron and the networks, count the runs with four correct answers, and draw their outputs."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    learners = {0: make_neuron(config)} | {width: make_network(config, width) for width in config.widths}
    found = {width: jax.device_get(jax.jit(jax.vmap(learn))(keys)) for width, learn in learners.items()}
    check_learned([values["loss"][:, -1] for values in found.values()])
    right = {width: np.sum((values["corners"] > 0) == (TABLE > 0), axis=1) for width, values in found.items()}
    run.figure("regions", draw(found, right))
    perceptron = neurons.learn_perceptron(INPUTS, TABLE)
    return {
        "most_right_of_4_by_one_neuron": int(right[0].max()),
        "perceptron_wrong_after_1000_mistakes": int(perceptron.wrong),
        **{f"solved_by_{width}_hidden_units": float(np.mean(right[width] == 4)) for width in config.widths},
    }


def make_neuron(config: Config) -> Callable[[Key], dict[str, Array]]:
    """Make the function that trains a single sigmoid neuron."""

    def learn(key: Key) -> dict[str, Array]:
        start = neurons.init_sigmoid_neuron(key, 2, scale=1.0)
        settings = {"learning_rate": config.learning_rate, "steps": config.steps}
        params, loss = neurons.fit_sigmoid_neuron(start, INPUTS, TABLE, **settings)

        def logits(x: np.ndarray) -> Array:
            return jnp.asarray(x) @ params["kernel"] + params["bias"]

        return {"loss": loss, "corners": logits(INPUTS), "plane": logits(PLANE)}

    return learn


def make_network(config: Config, width: int) -> Callable[[Key], dict[str, Array]]:
    """Make the function that trains a network with ``width`` hidden units."""
    model = models.create("mlp", hidden_sizes=(width,), num_classes=1, activation="tanh")

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        return losses.binary_cross_entropy(model.apply(variables, batch["x"], train=True)[:, 0], batch["y"]), ({}, {})

    def learn(key: Key) -> dict[str, Array]:
        batch, start = {"x": INPUTS, "y": TABLE}, model.init(key, INPUTS)
        state, metrics = fit_one_batch(loss, optim.sgd(config.learning_rate), start, batch, config.steps, key)
        corners, plane = (model.apply(state.variables, x, train=False)[:, 0] for x in (INPUTS, PLANE))
        return {"loss": metrics["loss"], "corners": corners, "plane": plane}

    return learn


def draw(found: dict[int, dict[str, np.ndarray]], right: dict[int, np.ndarray]) -> Figure:
    """Draw the outputs of one neuron and of two hidden units, the losses, and the shares of solved runs."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6))
    draw_regions(axes[0], found[0]["plane"][int(right[0].argmax())], "One neuron")
    pair = int(right[2].argmax())
    draw_regions(axes[1], found[2]["plane"][pair], f"Two hidden units: {right[2][pair]} of 4 right")
    for (width, values), colour in zip(found.items(), ("black", *COLOURS), strict=False):
        label = f"{width} hidden" if width else "one neuron"
        axes[2].plot(values["loss"].mean(axis=0), color=colour, label=label)
    axes[2].axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
    axes[2].set(xlabel="step", ylim=(0, 1), title="Mean loss (dotted: ln 2)")
    axes[2].legend(frameon=False, fontsize=8)
    shares = [np.mean(count == 4) for count in right.values()]
    labels = [str(width) if width else "one\nneuron" for width in right]
    axes[3].bar(labels, shares, color=COLOURS[0])
    axes[3].set(xlabel="hidden units", ylim=(0, 1.05), title="Share of runs with all four right")
    return figure


def draw_regions(axis: Axes, logits: np.ndarray, title: str) -> None:
    """Draw the probability of 1 over the plane, the line where it is one half, and the four examples."""
    probability = 1 / (1 + np.exp(-logits.reshape(SIDE, SIDE)))
    x1, x2 = np.moveaxis(PLANE.reshape(SIDE, SIDE, 2), -1, 0)
    axis.imshow(probability, origin="lower", extent=(-2, 2, -2, 2), cmap="Blues", vmin=0, vmax=1.6)
    if np.ptp(probability) > 0.1:  # otherwise the contour of a constant would show rounding errors
        axis.contour(x1, x2, probability, levels=[0.5], colors=COLOURS[1])
    for value, colour in ((0, "white"), (1, COLOURS[0])):
        axis.scatter(*INPUTS[value == TABLE].T, s=80, c=colour, edgecolors="black", zorder=3)
    axis.set(xlabel="$x_1$", ylabel="$x_2$", xticks=[-1, 1], yticks=[-1, 1], aspect="equal", title=title)
    axis.grid(visible=False)
