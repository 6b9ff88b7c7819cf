"""With softmax, squared error unlearns a confident mistake more slowly than cross-entropy does.

    python -m experiments run mse_vs_cross_entropy

Networks learn handwritten digits with wrong labels (every digit is called the next) until they are sure of them; then
the labels are put right, and each of the two losses has to change the network's mind, at learning rates from 0.03 to
30. Measured is after how many steps half of the held-out digits are right: at the rate that suits cross-entropy best,
and with each loss at the rate that suits it best (chosen by other runs than those measured). The squared error is
summed over the classes. A run that never gets there counts as having got there with its last step.

Result: the mistake has a probability of 0.98. Its gradient is 19 times smaller with squared error, which needs 243
steps in the mean at the rate where cross-entropy needs 15, and 140 at its own best rate. Fifteen seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from experiments.harness.seeds import plot_runs
from jaxdl import data, losses, metrics, models, optim, train, tree
from jaxdl.nn.activations import softmax
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (8,)
RATES = 10 ** np.arange(-1.5, 1.6, 0.5)
STRIDE = 5
"""Steps between two measurements."""
Loss = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Config(configuration.Config):
    """A network with one hidden layer of hyperbolic tangents, by plain stochastic gradient descent."""

    seeds: int = 24
    """Independent runs that are measured."""
    search_seeds: int = 4
    """Other runs, which choose the best rates."""
    hidden: int = 32
    """Hidden units."""
    wrong_steps: int = 600
    """Updates with wrong labels."""
    steps: int = 600
    """Updates with right labels; measured every five."""
    batch_size: int = 64
    """Examples in an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=2, steps=STRIDE, search_seeds=1, hidden=1, wrong_steps=1, batch_size=1)


def squared_error(logits: Array, labels: Array) -> Array:
    """Return ``sum_k (softmax(z)_k - y_k)^2``, the mean over examples."""
    return losses.sum_squared_error(softmax(logits), jax.nn.one_hot(labels, 10), reduction="mean")


LOSSES: dict[str, Loss] = {"cross-entropy": losses.cross_entropy, "squared error": squared_error}


def run(config: Config, run: Run) -> dict[str, float]:
    """Learn the mistake, unlearn it with both losses at every rate, and compare."""
    with preparing():
        dataset = data.load("digits")
    examples, held_out = jax.device_put((dict(dataset.train), dict(dataset.test)))
    seeds, wrong_steps, steps = (2, 10, 2 * STRIDE) if run.smoke else (config.seeds, config.wrong_steps, config.steps)
    rates = RATES[::3] if run.smoke else RATES
    searching, runs = config.search_seeds, config.search_seeds + seeds
    model = models.create("mlp", hidden_sizes=(config.hidden,), num_classes=10, activation="tanh")
    learn = make_learn(model, held_out)
    random = np.random.default_rng(config.seed)

    def batches(steps: int) -> np.ndarray:
        shape = (runs, steps // STRIDE, STRIDE, config.batch_size)
        return random.integers(len(examples["label"]), size=shape, dtype=np.int32)

    def draw_leaf(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        """Draw kernels of the variance 1 / n by NumPy, which compiles nothing; biases are 0."""
        deviation = leaf.shape[0] ** -0.5 if len(leaf.shape) > 1 else 0
        return random.normal(0, deviation, (runs, *leaf.shape)).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0), examples["image"][:1])
    variables = jax.tree.map(draw_leaf, shapes)
    wrong = {**examples, "label": (examples["label"] + 1) % 10}
    over_seeds = jax.vmap(learn, (0, None, 0, None, None))
    sure, _ = jax.jit(over_seeds)(variables, wrong, batches(wrong_steps), 0, 1.0)
    slope = jax.device_get(jax.jit(jax.vmap(lambda variables: slopes(model, variables, examples)))(sure))
    slope = tree.take(slope, slice(searching, None))
    kinds, tried = (grid.ravel() for grid in np.meshgrid([0, 1], rates, indexing="ij"))
    over_rates = jax.vmap(over_seeds, (None, None, None, 0, 0))
    _, accuracy = jax.jit(over_rates)(sure, examples, batches(steps), kinds, tried)
    accuracy = dict(zip(LOSSES, np.asarray(accuracy).reshape(2, len(rates), runs, -1), strict=True))
    needed = {name: steps_to_half(values, steps) for name, values in accuracy.items()}
    best = {name: int(np.argmin(values[:, :searching].mean(axis=1))) for name, values in needed.items()}
    accuracy, needed = jax.tree.map(lambda values: values[:, searching:], (accuracy, needed))
    assess(run, needed, best, slope)
    run.figure("unlearning", draw(rates, accuracy, needed, best))
    return {
        "probability_of_the_mistake": float(np.mean(slope["mistake"])),
        "steps_cross_entropy": float(np.mean(needed["cross-entropy"][best["cross-entropy"]])),
        "steps_squared_error": float(np.mean(needed["squared error"][best["squared error"]])),
        "steps_squared_error_same_rate": float(np.mean(needed["squared error"][best["cross-entropy"]])),
        "best_rate_cross_entropy": float(rates[best["cross-entropy"]]),
        "best_rate_squared_error": float(rates[best["squared error"]]),
    }


def make_learn(model: nn.Module, held_out: Batch) -> Callable[..., tuple[PyTree, Array]]:
    """Make the function that trains with the loss of a number, so that one program has both."""

    def learn(variables: PyTree, examples: Batch, batches: Array, kind: Array, rate: Array) -> tuple[PyTree, Array]:
        """Return the variables in the end, and the held-out accuracy before every few steps."""

        def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
            logits = model.apply(variables, batch["image"], train=True)
            values = [each(logits, batch["label"]) for each in LOSSES.values()]
            return jnp.where(kind == 0, *values), ({}, {})

        optimizer = optim.sgd(rate)
        step = train.make_step(loss, optimizer)

        def few(state: train.TrainState, indices: Array) -> tuple[train.TrainState, Array]:
            logits = model.apply(state.variables, held_out["image"], train=False)
            state, _ = jax.lax.scan(lambda state, index: step(state, tree.take(examples, index)), state, indices)
            return state, metrics.accuracy(logits, held_out["label"])

        start = train.TrainState.create(variables, optimizer, jax.random.key(0))  # nothing here is random
        state, accuracy = jax.lax.scan(few, start, batches)
        return state.variables, accuracy

    return learn


def slopes(model: nn.Module, variables: PyTree, examples: Batch) -> dict[str, Array]:
    """Measure how sure the mistake is, and how strongly each loss pulls at the logits of a network that makes it."""
    logits, labels = model.apply(variables, examples["image"], train=False), examples["label"]
    mistake = jnp.mean(jnp.sum(softmax(logits) * jax.nn.one_hot((labels + 1) % 10, 10), axis=-1))
    return {"mistake": mistake} | {name: tree.norm(jax.grad(loss)(logits, labels)) for name, loss in LOSSES.items()}


def steps_to_half(accuracy: np.ndarray, steps: int) -> np.ndarray:
    """Return after how many steps half of the examples are right, for ``[..., measurements]``; never is ``steps``."""
    reached = accuracy >= 0.5
    return np.where(reached.any(axis=-1), STRIDE * reached.argmax(axis=-1), steps)


def assess(run: Run, needed: dict[str, np.ndarray], best: dict[str, int], slope: dict[str, np.ndarray]) -> None:
    """Judge the gradient, and the steps at the same and at the best rates."""
    pull = np.log10(slope["cross-entropy"] / slope["squared error"])
    statement = "the gradient of squared error at a confident mistake is smaller"
    run.claim(judge(8, statement, "decades between the gradients of the logits", pull))
    fast = needed["cross-entropy"][best["cross-entropy"]]
    for statement, rate in (
        ("at the rate best for cross-entropy, squared error is slower", best["cross-entropy"]),
        ("squared error is slower, each loss at its best rate", best["squared error"]),
    ):
        slower = np.log10(needed["squared error"][rate] / fast)
        run.claim(judge(8, statement, "decades between the steps until half is right", slower))


def draw(rates: np.ndarray, accuracy: dict, needed: dict, best: dict[str, int]) -> Figure:
    """Draw the gradients over the probability of the truth, the accuracies at the best rates, and the steps by rate."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    draw_gradients(axes[0])
    for (name, values), colour in zip(accuracy.items(), COLOURS, strict=False):
        places, label = STRIDE * np.arange(values.shape[-1]), f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[1], values[best[name]], colour, x=places, label=label)
        mean, spread = needed[name].mean(axis=1), needed[name].std(axis=1)
        axes[2].errorbar(rates, mean, spread, color=colour, marker="o", markersize=4, capsize=2, label=name)
    same = accuracy["squared error"][best["cross-entropy"]].mean(axis=0)
    label = f"squared error, {rates[best['cross-entropy']]:.2g}"
    axes[1].plot(places, same, "--", color=COLOURS[1], label=label)
    axes[1].set(xlabel="steps with the right labels", title="Held-out accuracy", ylim=(0, 1))
    axes[1].legend(frameon=False, title="loss, learning rate", loc="lower right")
    axes[2].set(xscale="log", yscale="log", xlabel="learning rate", ylim=(5, 1000))
    axes[2].set_title("Steps until half is right")
    axes[2].legend(frameon=False)
    return figure


def draw_gradients(axis: Axes) -> None:
    """Draw the length of each loss's gradient where one of ten classes is wrongly preferred, by the truth's share."""
    logits = np.zeros((100, 10), np.float32)
    logits[:, 1] = np.linspace(0, 12, 100)
    truth = np.zeros(100, np.int32)

    @jax.jit
    def lengths(logits: Array) -> dict[str, Array]:
        # The losses are means over the rows.
        return {name: jnp.linalg.norm(100 * jax.grad(loss)(logits, truth), axis=1) for name, loss in LOSSES.items()}

    share = np.exp(logits[:, 0]) / np.exp(logits).sum(axis=1)
    for (name, length), colour in zip(lengths(logits).items(), COLOURS, strict=False):
        axis.plot(share, length, color=colour, label=name)
    axis.set(xscale="log", yscale="log", xlabel="probability given to the truth", title="Gradient of the logits")
    axis.legend(frameon=False)
