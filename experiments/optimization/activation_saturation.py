"""Sigmoid units saturate; ReLU units learn faster, but die at rates that leaky ones survive.

    python -m experiments run activation_saturation

Networks with three hidden layers learn handwritten digits by gradient descent at seven learning rates from 0.01 to 10,
each with one activation, the initialization made for it (Xavier; He for the rectified ones) and gradients clipped to
norm 1. The best rate of an activation has the smallest mean loss over the run, in other runs than those that are
judged. An activation is saturated where its slope is below a twentieth of the largest; a unit is dead where its slope
is 0 for all examples. The high rate is ten times the best one of ReLU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen

from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import RateSearch, best_rate, draw_batches, fit_batches, training_digits
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import he, initialize, xavier
from experiments.optimization import drawings
from jaxdl import metrics, models, optim, tasks, tree
from jaxdl.nn import activations
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (7,)
LEAK = 0.1
ACTIVATIONS = {
    "sigmoid": activations.sigmoid,
    "tanh": activations.tanh,
    "relu": activations.relu,
    "leaky": lambda a: activations.leaky_relu(a, LEAK),
}
SLOPES = {
    "sigmoid": lambda h: 4 * h * (1 - h),
    "tanh": lambda h: 1 - jnp.square(h),
    "relu": lambda h: (h > 0).astype(h.dtype),
    "leaky": lambda h: jnp.where(h > 0, 1, LEAK),
}
"""The slopes as functions of the output of a unit, relative to the largest."""
VARIANCES = {"sigmoid": xavier, "tanh": xavier, "relu": he, "leaky": he}
RATES = tuple((10 ** np.arange(-2, 1.1, 0.5)).tolist())
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(RateSearch):
    """Networks with three hidden layers, trained by stochastic gradient descent with clipped gradients."""

    SMOKE = {**RateSearch.SMOKE, "rates": RATES[::6], "hidden_size": 4}
    FORMER = {"width": "hidden_size"}

    search_seeds: int = 4
    rates: tuple[float, ...] = RATES
    hidden_size: int = 32
    """Units in a hidden layer."""
    steps: int = 400


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with every activation at every rate, and compare."""
    examples = training_digits()
    rates, search = np.array(config.rates), config.search_seeds
    runs = search + config.seeds
    batches = draw_batches(config.seed, examples, (runs, config.steps, config.batch_size))
    over_seeds = jax.vmap(partial(learn, config.hidden_size, examples), (None, None, 0, 0))
    learn_all, found = jax.jit(jax.vmap(over_seeds, (None, 0, None, None))), {}
    for kind, name in enumerate(ACTIVATIONS):
        random, model = np.random.default_rng(config.seed), make_model(config.hidden_size, "relu")
        start = initialize(random, model, examples["image"][:1], runs, VARIANCES[name])
        found[name] = jax.device_get(learn_all(kind, rates, start, batches))
    best = {name: best_rate(values["loss"][:, :search].mean(axis=2)) for name, values in found.items()}
    found = {name: tree.take(values, (slice(None), slice(search, None))) for name, values in found.items()}
    high = min(best["relu"] + 2, len(rates) - 1)  # ten times the rate, two steps of the grid
    judge_all(run, statements(found, best, high))
    run.figure("activations", drawings.draw_activations(rates, found, best, high))
    run.figure("saturation", drawings.draw_saturation(found["sigmoid"], best["sigmoid"]))
    at_best = {name: tree.take(values, best[name]) for name, values in found.items()}
    return means(
        best_rate={name: rates[best[name]] for name in found},
        loss_over_run={name: values["loss"] for name, values in at_best.items()},
        saturated={"sigmoids": at_best["sigmoid"]["saturated"]},
        dead={"relu_best_rate": at_best["relu"]["dead"]}
        | {f"{name}_high_rate": found[name]["dead"][high] for name in ("relu", "leaky")},
        accuracy={f"{name}_high_rate": found[name]["accuracy"][high] for name in ("relu", "leaky")},
    )


def learn(
    hidden_size: int, examples: Batch, kind: Array, rate: Array, variables: PyTree, batches: Array
) -> dict[str, Array]:
    """Train with the activation of an index, so that one program has all."""
    model = make_model(hidden_size, lambda a: jax.lax.switch(kind, list(ACTIVATIONS.values()), a))
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.sgd(rate))

    def slopes(variables: PyTree) -> tuple[Array, Array]:
        """Return the slopes of all hidden units ``[3, N, width]``, and the accuracy."""
        logits, features = model.apply(variables, examples["image"], train=False, return_intermediates=True)
        h = jnp.stack(list(features.values()))
        return jax.lax.switch(kind, list(SLOPES.values()), h), metrics.accuracy(logits, examples["label"])

    state, learned = fit_batches(tasks.classification(model).loss, optimizer, variables, examples, batches)
    before, _ = slopes(variables)
    after, accuracy = slopes(state.variables)
    return {
        "loss": learned["loss"],
        "accuracy": accuracy,
        "saturated_before": jnp.mean(before < 0.05, axis=(1, 2)),
        "saturated": jnp.mean(after < 0.05, axis=(1, 2)),
        "dead": jnp.mean(jnp.all(after == 0, axis=1)),
        "slopes": jnp.stack([before[:, ::50, ::4], after[:, ::50, ::4]]),
    }


def make_model(hidden_size: int, activation: str | activations.Activation) -> linen.Module:
    """Make the network."""
    return models.create("mlp", hidden_sizes=(hidden_size,) * 3, num_classes=10, activation=activation)


def statements(found: Found, best: dict[str, int], high: int) -> Iterator[Statement]:
    """State the parts of the claim, each by one number for every seed."""
    at_best = {name: tree.take(values, best[name]) for name, values in found.items()}
    relu, leaky = (tree.take(found[name], high) for name in ("relu", "leaky"))
    grown = np.mean(at_best["sigmoid"]["saturated"] - at_best["sigmoid"]["saturated_before"], axis=1)
    yield Statement(
        7, "sigmoid units saturate", "share of saturated activations gained in training", grown, within=(-1, 1)
    )
    loss = {name: np.mean(values["loss"], axis=1) for name, values in at_best.items()}
    for slower in ("sigmoid", "tanh"):
        measure = f"mean loss over the run, {slower} minus ReLU"
        yield Statement(7, f"ReLU trains faster than {slower}", measure, loss[slower] - loss["relu"])
    measure = "dead share at ten times the best rate minus at the best"
    yield Statement(7, "ReLU units die at high rates", measure, relu["dead"] - at_best["relu"]["dead"], within=(-1, 1))
    measure = "dead share at that rate, ReLU minus leaky"
    yield Statement(7, "leaky ReLU units do not die", measure, relu["dead"] - leaky["dead"], within=(-1, 1))
    measure = "training accuracy at that rate, leaky minus ReLU"
    gained = leaky["accuracy"] - relu["accuracy"]
    yield Statement(7, "leaky ReLU still learns where ReLU died", measure, gained, within=(-1, 1))
