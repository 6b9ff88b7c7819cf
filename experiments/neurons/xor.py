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

from experiments.harness import configuration
from experiments.harness.learning import check_learned, fit_one_batch
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
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
        configuration.require(2 in self.widths, "widths", "a list with 2", self.widths)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the neuron and the networks, count the runs with four correct answers, and draw their outputs."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    learners = {0: make_neuron(config)} | {width: make_network(config, width) for width in config.widths}
    found = {width: jax.device_get(jax.jit(jax.vmap(learn))(keys)) for width, learn in learners.items()}
    check_learned([values["loss"][:, -1] for values in found.values()])
    right = {width: np.sum((values["corners"] > 0) == (TABLE > 0), axis=1) for width, values in found.items()}
    points = {value: INPUTS[value == TABLE] for value in (0, 1)}
    run.figure("regions", drawings.draw_xor(found, right, PLANE, points))
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
