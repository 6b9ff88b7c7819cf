"""With softmax, squared error corrects a confident mistake more slowly than cross-entropy.

    python -m experiments run mse_vs_cross_entropy

Networks learn handwritten digits with wrong labels (each digit is called the next) until they are confident; then the
labels are corrected and each loss continues the training, at learning rates from 0.03 to 30. Measured are the steps
until half of the held-out digits are correct, at the best rate of cross-entropy and at the best rate of each loss; the
rates are chosen by other runs than those that are judged. Squared error is summed over the classes. A run that never
gets there counts with its last step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS, plot_by_rate, plot_runs
from experiments.harness.learning import best_rate, fit_batches
from experiments.harness.run_folder import Run
from jaxdl import data, losses, metrics, models, optim, tree
from jaxdl.nn.activations import softmax
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (8,)
RATES = tuple((10 ** np.arange(-1.5, 1.6, 0.5)).tolist())
STRIDE = 5
"""Steps between measurements."""
Loss = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Config(configuration.Config):
    """A network with one hidden layer of tanh units, trained by stochastic gradient descent."""

    SMOKE = {"seeds": 2, "search_seeds": 1, "wrong_steps": 5, "steps": 5, "rates": RATES[::6], "batch_size": 4}
    FORMER = {"hidden": "hidden_size"}
    LEAST = {"seeds": 2, "steps": STRIDE, "search_seeds": 1, "hidden_size": 1, "wrong_steps": 1, "batch_size": 1}

    seeds: int = 24
    """Independent runs that are measured."""
    search_seeds: int = 4
    """Other runs, which choose the best rates."""
    rates: tuple[float, ...] = RATES
    """Learning rates."""
    hidden_size: int = 32
    """Hidden units."""
    wrong_steps: int = 600
    """Updates with wrong labels."""
    steps: int = 600
    """Updates with correct labels; the accuracy is measured every five."""
    batch_size: int = 64
    """Examples in an update."""


def squared_error(logits: Array, labels: Array) -> Array:
    """Return ``sum_k (softmax(z)_k - y_k)^2``, the mean over examples."""
    return losses.sum_squared_error(softmax(logits), jax.nn.one_hot(labels, 10), reduction="mean")


LOSSES: dict[str, Loss] = {"cross-entropy": losses.cross_entropy, "squared error": squared_error}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on wrong labels, then on correct ones with both losses at every rate, and compare."""
    with preparing():
        dataset = data.load("digits")
    examples, held_out = jax.device_put((dict(dataset.train), dict(dataset.test)))
    steps, rates, search = config.steps, np.array(config.rates), config.search_seeds
    runs = search + config.seeds
    model = models.create("mlp", hidden_sizes=(config.hidden_size,), num_classes=10, activation="tanh")
    learn = make_learn(model, held_out)
    random = np.random.default_rng(config.seed)

    def batches(steps: int) -> np.ndarray:
        shape = (runs, steps // STRIDE, STRIDE, config.batch_size)
        return random.integers(len(examples["label"]), size=shape, dtype=np.int32)

    def draw_leaf(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        deviation = leaf.shape[0] ** -0.5 if len(leaf.shape) > 1 else 0
        return random.normal(0, deviation, (runs, *leaf.shape)).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0), examples["image"][:1])
    variables = jax.tree.map(draw_leaf, shapes)
    wrong = {**examples, "label": (examples["label"] + 1) % 10}
    over_seeds = jax.vmap(learn, (0, None, 0, None, None))
    sure, _ = jax.jit(over_seeds)(variables, wrong, batches(config.wrong_steps), 0, 1.0)
    slope = jax.device_get(jax.jit(jax.vmap(lambda variables: slopes(model, variables, examples)))(sure))
    slope = tree.take(slope, slice(search, None))
    kinds, tried = (grid.ravel() for grid in np.meshgrid([0, 1], rates, indexing="ij"))
    over_rates = jax.vmap(over_seeds, (None, None, None, 0, 0))
    _, accuracy = jax.jit(over_rates)(sure, examples, batches(steps), kinds, tried)
    accuracy = dict(zip(LOSSES, np.asarray(accuracy).reshape(2, len(rates), runs, -1), strict=True))
    needed = {name: steps_to_half(values, steps) for name, values in accuracy.items()}
    best = {name: best_rate(values[:, :search]) for name, values in needed.items()}
    accuracy, needed = jax.tree.map(lambda values: values[:, search:], (accuracy, needed))
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


def make_learn(model: linen.Module, held_out: Batch) -> Callable[..., tuple[PyTree, Array]]:
    """Make the function that trains with the loss of an index, so that one program has both losses."""

    def learn(variables: PyTree, examples: Batch, batches: Array, kind: Array, rate: Array) -> tuple[PyTree, Array]:
        """Return the last variables, and the held-out accuracy before every few steps."""

        def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
            logits = model.apply(variables, batch["image"], train=True)
            values = [each(logits, batch["label"]) for each in LOSSES.values()]
            return jnp.where(kind == 0, *values), ({}, {})

        def few(variables: PyTree, indices: Array) -> tuple[PyTree, Array]:
            logits = model.apply(variables, held_out["image"], train=False)
            state, _ = fit_batches(loss, optim.sgd(rate), variables, examples, indices)
            return state.variables, metrics.accuracy(logits, held_out["label"])

        return jax.lax.scan(few, variables, batches)

    return learn


def slopes(model: linen.Module, variables: PyTree, examples: Batch) -> dict[str, Array]:
    """Return the probability of the mistake, and the norm of each loss's gradient with respect to the logits."""
    logits, labels = model.apply(variables, examples["image"], train=False), examples["label"]
    mistake = jnp.mean(jnp.sum(softmax(logits) * jax.nn.one_hot((labels + 1) % 10, 10), axis=-1))
    return {"mistake": mistake} | {name: tree.norm(jax.grad(loss)(logits, labels)) for name, loss in LOSSES.items()}


def steps_to_half(accuracy: np.ndarray, steps: int) -> np.ndarray:
    """Return the steps until half of the answers ``[..., measurements]`` are correct; ``steps`` if they never are."""
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
    """Draw the gradients by the probability of the label, the accuracies at the best rates, and the steps by rate."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    draw_gradients(axes[0])
    for (name, values), colour in zip(accuracy.items(), COLOURS, strict=False):
        places, label = STRIDE * np.arange(values.shape[-1]), f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[1], values[best[name]], colour, x=places, label=label)
        plot_by_rate(axes[2], rates, needed[name], colour, name)
    same = accuracy["squared error"][best["cross-entropy"]].mean(axis=0)
    label = f"squared error, {rates[best['cross-entropy']]:.2g}"
    axes[1].plot(places, same, "--", color=COLOURS[1], label=label)
    axes[1].set(xlabel="steps with the right labels", title="Held-out accuracy", ylim=(0, 1))
    axes[1].legend(frameon=False, title="loss, learning rate", loc="lower right")
    axes[2].set(yscale="log", ylim=(5, 1000))
    axes[2].set_title("Steps until half is right")
    axes[2].legend(frameon=False)
    return figure


def draw_gradients(axis: Axes) -> None:
    """Draw the norm of each loss's gradient where one of ten classes is wrongly preferred."""
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
