"""Greedy layer-wise pre-training helps deep sigmoid networks, and makes them less dependent on their initialization.

    python -m experiments run pretraining

Networks with several hidden layers of sigmoid units learn scikit-learn's digits from small random weights of
variance ``1 / (3 n)``; or from the same weights after every layer has learned, without labels and one after the other,
to reconstruct the layer below it from a corrupted copy (Bengio et al., 2007; Vincent et al., 2010). Batches and noise
are the same in all runs, so that runs differ by their initialization only. Networks without pre-training also get as
many updates as both phases together, and, for comparison, the weights of Xavier. Each kind has its best learning rate,
chosen by other runs. The dependence is the distance of a run's test error from the median: it is also small where all
runs remain at the error of chance, as they may with the fewer updates.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import Statement, judge_all
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.learning import RateSearch, draw_batches, fit_batches, search_rate_then_measure
from experiments.harness.plots import image_rows, plot_groups, plot_smooth_runs
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize, xavier
from jaxdl import data, generative, models, optim, tasks
from jaxdl.generative.pretraining import Layer
from jaxdl.typing import Array, Batch, PyTree

CLAIMS = (27, 38)
RANDOM, LONGER, XAVIER, TRAINED = "random", "random longer", "Xavier", "pre-trained"
RATE, MOMENTUM = 3e-3, 0.9


@dataclass(frozen=True)
class Config(RateSearch):
    """Deep sigmoid networks with and without pre-training."""

    SMOKE = {**RateSearch.SMOKE, "rates": (0.1, 0.3), "hidden_size": 4, "depth": 2, "layer_steps": 2}

    seeds: int = 16
    search_seeds: int = 4
    rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    """Learning rates of gradient descent with momentum."""
    depth: int = 4
    """Hidden layers."""
    hidden_size: int = 64
    """Units of each."""
    steps: int = 1500
    """Updates with labels."""
    layer_steps: int = 1000
    """Updates of each layer without labels, by Adam."""
    corruption: float = 0.25
    """Share of the elements that are set to 0 in pre-training."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Pre-train, learn from every kind of weights, judge, draw."""
    with preparing():
        dataset = data.load("digits")
    examples, test = jax.device_put(dict(dataset.train)), jax.device_put(dict(dataset.test))
    model = models.create("mlp", hidden_sizes=(config.hidden_size,) * config.depth, activation="sigmoid")
    runs = config.search_seeds + config.seeds
    random, first = np.random.default_rng(config.seed), examples["image"][:1]
    start = initialize(random, model, first, runs, lambda n, m: 1 / (3 * n))
    trained, curves = jax.jit(jax.vmap(partial(pretrain, config, examples)))(start)
    longer = config.steps + config.depth * config.layer_steps
    batches = draw_batches(config.seed, examples, (longer, config.batch_size))
    kinds = {
        RANDOM: (start, config.steps),
        LONGER: (start, longer),
        XAVIER: (initialize(random, model, first, runs, xavier), config.steps),
        TRAINED: (trained, config.steps),
    }
    found, rates = {}, {}
    for name, (variables, steps) in kinds.items():
        learn = partial(fit, model, examples, test, batches[:steps])
        rates[name], found[name] = search_rate_then_measure(
            learn,
            np.array(config.rates),
            variables,
            config.search_seeds,
            lambda curves: curves["loss"][:, -50:].mean(1),
        )
        run.console.print(f"{name}: rate {rates[name]:g}, test error {found[name]['error'].mean():.3f}")
    judge_all(run, statements(found))
    run.figure("learning", draw_learning(found, jax.device_get(curves)))
    run.figure("features", draw_features(start, trained, config.search_seeds))
    return means(
        rate=rates,
        test_error={name: values["error"] for name, values in found.items()},
        training_loss={name: values["loss"][:, -50:] for name, values in found.items()},
        deviation={name: deviations(values["error"]) for name, values in found.items()},
    )


def pretrain(config: Config, examples: Batch, variables: PyTree) -> tuple[PyTree, Array]:
    """Pre-train the hidden layers of one network; return its variables and the losses ``[layers, steps]``."""
    curves, params = [], variables["params"]
    indices = jnp.asarray(draw_batches(config.seed + 1, examples, (config.layer_steps, config.batch_size)))

    def fit_layer(number: int, size: int, h: Array) -> Layer:
        model = models.Autoencoder((h.shape[1],), (size,), code_activation="sigmoid")
        task = tasks.autoencoding(model, corrupt=partial(generative.masking_noise, rate=config.corruption))
        layer = params[f"hidden{number}"]
        decoder = {"kernel": layer["kernel"].T, "bias": jnp.zeros(h.shape[1])}
        start = {"params": {"encoder_0": layer, "decoder_0": decoder}}
        state, metrics = fit_batches(task.loss, optim.adam(RATE), start, {"image": h}, indices)
        curves.append(metrics["loss"])
        return state.params["encoder_0"]

    sizes = (config.hidden_size,) * config.depth
    layers = generative.pretrain_layers(fit_layer, examples["image"], sizes, "sigmoid")
    return {"params": generative.merge_layers(params, layers)}, jnp.stack(curves)


def fit(
    model: linen.Module, examples: Batch, test: Batch, batches: Array, rate: Array, variables: PyTree
) -> dict[str, Array]:
    """Learn with labels; return the losses ``[steps]`` and the error on the test digits."""
    task = tasks.classification(model)
    state, metrics = fit_batches(task.loss, optim.momentum(rate, MOMENTUM), variables, examples, jnp.asarray(batches))
    return {"loss": metrics["loss"], "error": 1 - task.measure(state.variables, test)["accuracy"].value}


def deviations(errors: np.ndarray) -> np.ndarray:
    """Return the distance of every run from the median."""
    return np.abs(errors - np.median(errors))


def statements(found: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[Statement]:
    """State both claims, each by one number for every initialization."""
    error = {name: values["error"] for name, values in found.items()}
    for other in (RANDOM, LONGER):
        measure = f"test error, {other} minus pre-trained"
        yield Statement(27, "pre-training helps deep sigmoid networks", measure, error[other] - error[TRAINED])
    loss = {name: values["loss"][:, -50:].mean(axis=1) for name, values in found.items()}
    measure = "training loss at the end, random minus pre-trained"
    yield Statement(27, "it helps the optimization", measure, loss[RANDOM] - loss[TRAINED])
    for other in (RANDOM, LONGER):
        measure = f"distance of the test error from the median, {other} minus pre-trained"
        gained = deviations(error[other]) - deviations(error[TRAINED])
        yield Statement(38, "pre-training makes deep networks more robust to random initialization", measure, gained)


def draw_learning(found: Mapping[str, Mapping[str, np.ndarray]], curves: np.ndarray) -> Figure:
    """Draw the losses of each layer in pre-training, those with labels, and the test errors."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    layers = {f"layer {number + 1}": curves[:, number] for number in range(curves.shape[1])}
    plot_smooth_runs(axes[0], layers, 25)
    axes[0].set(title="pre-training", ylabel="reconstruction in nats")
    plot_smooth_runs(axes[1], {name: values["loss"] for name, values in found.items() if name != LONGER}, 25)
    axes[1].set(title="with labels", ylabel="cross-entropy", yscale="log")
    plot_groups(axes[2], {name: values["error"] for name, values in found.items()}, COLOURS[: len(found)])
    axes[2].tick_params(axis="x", labelsize=8)
    axes[2].set(title="error on test digits", yscale="log")
    for axis in axes[:2]:
        axis.legend(frameon=False, fontsize=8)
    return figure


def draw_features(start: PyTree, trained: PyTree, run: int) -> Figure:
    """Draw the weights of the first layer before and after pre-training."""
    rows = {}
    for name, variables in (("before", start), ("after", trained)):
        kernel: Any = np.asarray(variables["params"]["hidden1"]["kernel"])[run]
        side = round(kernel.shape[0] ** 0.5)
        rows[name] = [kernel[:, unit].reshape(side, side) for unit in range(min(12, kernel.shape[1]))]
    return image_rows(rows, kind="signed")
