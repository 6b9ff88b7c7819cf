"""With softmax, squared error corrects a confident mistake more slowly than cross-entropy.

    python -m experiments run mse_vs_cross_entropy

Networks learn handwritten digits with wrong labels (each digit is called the next) until they are confident; then the
labels are corrected and each loss continues the training, at learning rates from 0.03 to 30. Measured are the steps
until half of the held-out digits are correct, at the best rate of cross-entropy and at the best rate of each loss; the
rates are chosen by other runs than those that are judged. Squared error is summed over the classes. A run that never
gets there counts with its last step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.claims import Statement, judge_all
from experiments.harness.errors import preparing
from experiments.harness.learning import RateSearch, best_rate, check_learned, draw_batches, fit_batches
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize_dense
from experiments.neurons import drawings
from jaxdl import data, losses, metrics, models, optim, tree
from jaxdl.nn.activations import softmax
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (8,)
RATES = tuple((10 ** np.arange(-1.5, 1.6, 0.5)).tolist())
STRIDE = 5
"""Steps between measurements."""


@dataclass(frozen=True)
class Config(RateSearch):
    """A network with one hidden layer of tanh units, trained by stochastic gradient descent."""

    SMOKE = {**RateSearch.SMOKE, "wrong_steps": 5, "steps": 5, "rates": RATES[::6]}
    FORMER = {"hidden": "hidden_size"}
    LEAST = {"steps": STRIDE}

    seeds: int = 24
    search_seeds: int = 4
    rates: tuple[float, ...] = RATES
    hidden_size: int = 32
    """Hidden units."""
    wrong_steps: int = 600
    """Updates with wrong labels."""
    steps: int = 600
    """Updates with correct labels; the accuracy is measured every five."""


def squared_error(logits: Array, labels: Array) -> Array:
    """Return ``sum_k (softmax(z)_k - y_k)^2``, the mean over examples."""
    return losses.sum_squared_error(softmax(logits), jax.nn.one_hot(labels, 10), reduction="mean")


LOSSES = {"cross-entropy": losses.cross_entropy, "squared error": squared_error}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on wrong labels, then on correct ones with both losses at every rate, and compare."""
    with preparing():
        dataset = data.load("digits")
    examples, held_out = jax.device_put((dict(dataset.train), dict(dataset.test)))
    steps, rates, search = config.steps, np.array(config.rates), config.search_seeds
    runs, random = search + config.seeds, np.random.default_rng(config.seed)
    model = models.create("mlp", hidden_sizes=(config.hidden_size,), num_classes=10, activation="tanh")
    variables = initialize_dense(random, model, examples["image"][:1], runs)
    wrong_batches, batches = (
        draw_batches(random, examples, (runs, count // STRIDE, STRIDE, config.batch_size))
        for count in (config.wrong_steps, steps)
    )
    over_seeds = jax.vmap(partial(learn, model, held_out), (0, None, 0, None, None))
    wrong = {**examples, "label": (examples["label"] + 1) % 10}
    sure, _ = jax.jit(over_seeds)(variables, wrong, wrong_batches, 0, 1.0)
    slope = jax.device_get(jax.jit(jax.vmap(partial(slopes, model, examples)))(sure))
    check_learned(slope["mistake"])
    kinds, tried = (grid.ravel() for grid in np.meshgrid([0, 1], rates, indexing="ij"))
    over_rates = jax.vmap(over_seeds, (None, None, None, 0, 0))
    _, accuracy = jax.jit(over_rates)(sure, examples, batches, kinds, tried)
    accuracy = dict(zip(LOSSES, np.asarray(accuracy).reshape(2, len(rates), runs, -1), strict=True))
    needed = {name: steps_to_half(values, steps) for name, values in accuracy.items()}
    best = {name: best_rate(values[:, :search]) for name, values in needed.items()}
    accuracy, needed = jax.tree.map(lambda values: values[:, search:], (accuracy, needed))
    judge_all(run, statements(needed, best, tree.take(slope, slice(search, None))))
    run.figure("unlearning", drawings.draw_unlearning(rates, accuracy, needed, best, LOSSES, stride=STRIDE))
    own, fast = needed["squared error"], needed["cross-entropy"][best["cross-entropy"]]
    return means(
        probability={"of_the_mistake": slope["mistake"][search:]},
        steps={
            "cross_entropy": fast,
            "squared_error": own[best["squared error"]],
            "squared_error_same_rate": own[best["cross-entropy"]],
        },
        best_rate={name: rates[at] for name, at in best.items()},
    )


def learn(
    model: linen.Module,
    held_out: Batch,
    variables: PyTree,
    examples: Batch,
    batches: Array,
    kind: int | Array,
    rate: float | Array,
) -> tuple[PyTree, Array]:
    """Train with the loss of an index, so that one program has both losses.

    Returns:
        The last variables, and the held-out accuracy before every few steps.
    """

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        logits = model.apply(variables, batch["image"], train=True)
        return jnp.where(kind == 0, *(each(logits, batch["label"]) for each in LOSSES.values())), ({}, {})

    def few(variables: PyTree, indices: Array) -> tuple[PyTree, Array]:
        logits = model.apply(variables, held_out["image"], train=False)
        state, _ = fit_batches(loss, optim.sgd(rate), variables, examples, indices)
        return state.variables, metrics.accuracy(logits, held_out["label"])

    return jax.lax.scan(few, variables, batches)


def slopes(model: linen.Module, examples: Batch, variables: PyTree) -> dict[str, Array]:
    """Return the probability of the mistake, and the norm of each loss's gradient with respect to the logits."""
    logits, labels = model.apply(variables, examples["image"], train=False), examples["label"]
    mistake = jnp.mean(jnp.sum(softmax(logits) * jax.nn.one_hot((labels + 1) % 10, 10), axis=-1))
    return {"mistake": mistake} | {name: tree.norm(jax.grad(loss)(logits, labels)) for name, loss in LOSSES.items()}


def steps_to_half(accuracy: np.ndarray, steps: int) -> np.ndarray:
    """Return the steps until half of the answers ``[..., measurements]`` are correct; ``steps`` if they never are."""
    reached = accuracy >= 0.5
    return np.where(reached.any(axis=-1), STRIDE * reached.argmax(axis=-1), steps)


def statements(
    needed: dict[str, np.ndarray], best: dict[str, int], slope: dict[str, np.ndarray]
) -> Iterator[Statement]:
    """State the gradient, and the steps at the same and at the best rates."""
    pull = np.log10(slope["cross-entropy"] / slope["squared error"])
    statement = "the gradient of squared error at a confident mistake is smaller"
    yield Statement(8, statement, "decades between the gradients of the logits", pull)
    fast, measure = needed["cross-entropy"][best["cross-entropy"]], "decades between the steps until half is right"
    for statement, rate in (
        ("at the rate best for cross-entropy, squared error is slower", best["cross-entropy"]),
        ("squared error is slower, each loss at its best rate", best["squared error"]),
    ):
        yield Statement(8, statement, measure, np.log10(needed["squared error"][rate] / fast))
