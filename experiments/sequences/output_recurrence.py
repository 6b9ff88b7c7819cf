"""Output recurrence is trained under teacher forcing without time: all steps in parallel, at the same result.

    python -m experiments run output_recurrence

A Jordan network of 32 units feeds back its last output only, and under teacher forcing the true one, so that no step
waits for another. It is trained in parallel and step by step on the same sequences from the same initialization. For
comparison it is also trained along its own outputs, by backpropagation through time, and a network with recurrence of
its hidden state too is trained step by step. Two tasks: the running sum of digits modulo 5, where the last output is
all of the past that matters, and the digit three steps ago, which no output shows. The error is the share of wrong
symbols along own outputs on new sequences. The result is the same if the errors differ by less than 0.01; times are
processor times of an update, measured in turn.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import Metrics, check_learned, fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.settings import OnNewSequences
from experiments.sequences import drawings
from jaxdl import losses, metrics, optim
from jaxdl.nn import forced_parallel, forced_scan, scan
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (40,)
SYMBOLS, HIDDEN, TESTED, DELAY, SAME = 5, 32, 200, 3, 0.01
OUTPUT = cells.Jordan(HIDDEN, num_outputs=SYMBOLS, output_activation="softmax")
BOTH = cells.Jordan(HIDDEN, num_outputs=SYMBOLS, output_activation="softmax", hidden_recurrence=True)
Outputs = Callable[[PyTree, Array, Array], Array]
"""``(parameters, x, targets) -> y``."""
WAYS: dict[str, tuple[cells.Jordan, Outputs]] = {
    "in parallel": (OUTPUT, lambda params, x, z: forced_parallel(OUTPUT, params, x, z)),
    "step by step": (OUTPUT, lambda params, x, z: forced_scan(OUTPUT, params, x, z)),
    "along own outputs": (OUTPUT, lambda params, x, z: scan(OUTPUT, params, x)[1]),
    "hidden recurrence too": (BOTH, lambda params, x, z: forced_scan(BOTH, params, x, z)),
}
COMPARED = ("in parallel", "step by step")
TASKS = ("running sum", "digit before")


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Networks with output recurrence, trained in four ways."""

    SMOKE = {**OnNewSequences.SMOKE, "length": 6, "timed": 1, "ways": COMPARED}
    LEAST = {"length": DELAY + 1}
    CHOICES = {"ways": (WAYS, COMPARED)}

    steps: int = 1000
    length: int = 40
    """Steps of a sequence."""
    timed: int = 30
    """Updates whose time is measured."""
    ways: tuple[str, ...] = tuple(WAYS)
    """Ways of training; in parallel and step by step must be among them."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks on both tasks, measure the times, judge, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {task: {} for task in TASKS}
    for way in config.ways:
        learn_all = jax.jit(jax.vmap(jax.vmap(partial(learn, way, config), (None, 0)), (0, None)))
        both = jax.device_get(learn_all(jnp.arange(len(TASKS)), keys))
        check_learned(both["loss"])
        for number, task in enumerate(TASKS):
            found[task][way] = jax.tree.map(lambda leaf, number=number: leaf[number], both)
    ratios = time_ratios(config)
    judge_all(run, statements(found, ratios))
    run.figure("learning", drawings.draw_ways(found))
    difference = max(
        np.abs(found[task]["in parallel"]["loss"] - found[task]["step by step"]["loss"]).max() for task in TASKS
    )
    errors = {
        slug(f"{task}_{way}_error"): float(values["error"].mean())
        for task in TASKS
        for way, values in found[task].items()
    }
    return {"times_faster": float(np.mean(ratios)), "largest_difference_of_losses": float(difference), **errors}


def draw(number: Array, config: Config, key: Key, count: int) -> tuple[Array, Array]:
    """Sample digits and the targets of a task, one-hot, both ``[N, T, 5]``."""
    digits = jax.random.randint(key, (count, config.length), 0, SYMBOLS)
    total = jnp.cumsum(digits, axis=1) % SYMBOLS
    before = jnp.pad(digits, ((0, 0), (DELAY, 0)))[:, : config.length]
    return tuple(jax.nn.one_hot(each, SYMBOLS) for each in (digits, jnp.where(number == 0, total, before)))


def loss_of(way: str, params: PyTree, x: Array, z: Array) -> Array:
    """Return the cross-entropy of a way of training."""
    return losses.cross_entropy(jnp.log(WAYS[way][1](params, x, z) + 1e-9), jnp.argmax(z, axis=-1))


def learn(way: str, config: Config, number: Array, key: Key) -> Metrics:
    """Train a network on the task of a number; return its loss ``[steps]`` and its error along own outputs."""
    cell = WAYS[way][0]
    init_key, train_key, test_key = jax.random.split(key, 3)
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(config.learning_rate))

    def sample(key: Key) -> Batch:
        return dict(zip(("x", "z"), draw(number, config, key, config.batch_size), strict=True))

    def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, Metrics]]:
        return loss_of(way, variables["params"], batch["x"], batch["z"]), ({}, {})

    start = {"params": cells.init_cell(init_key, cell, SYMBOLS)}
    state, measured = fit_samples(loss, optimizer, start, sample, jax.random.split(train_key, config.steps), key)
    x, z = draw(number, config, test_key, TESTED)
    _, own = scan(cell, state.params, x)
    return {"loss": measured["loss"], "error": 1 - metrics.accuracy(own, jnp.argmax(z, axis=-1))}


def time_ratios(config: Config) -> np.ndarray:
    """Return the processor time of a gradient step by step, divided by that in parallel, ``[timed]``."""
    key = jax.random.key(config.seed)
    x, z = draw(jnp.array(0), config, key, config.batch_size)
    params = cells.init_cell(key, OUTPUT, SYMBOLS)
    gradients = [jax.jit(jax.grad(partial(loss_of, way))) for way in ("step by step", "in parallel")]
    seconds = np.zeros((2, config.timed + 1))
    for row in range(config.timed + 1):  # the first compiles
        for i, gradient in enumerate(gradients):
            started = time.process_time()
            jax.block_until_ready(gradient(params, x, z))
            seconds[i, row] = time.process_time() - started
    return seconds[0, 1:] / np.maximum(seconds[1, 1:], 1e-9)


def statements(found: dict[str, dict[str, dict[str, np.ndarray]]], ratios: np.ndarray) -> Iterator[Statement]:
    """State that the result is the same, the times, and what output recurrence misses."""
    for task, ways in found.items():
        error = {way: values["error"] for way, values in ways.items()}
        same = SAME - np.abs(error["in parallel"] - error["step by step"])
        yield Statement(
            40, f"{task}: in parallel at the result of step by step", f"{SAME} minus the difference of errors", same
        )
    yield Statement(40, "a gradient in parallel takes less time", "times of step by step to in parallel", ratios, 1.0)
    rich, poor = ({way: values["error"] for way, values in found[task].items()} for task in TASKS)
    measure = "of the symbols less, along own outputs"
    if "along own outputs" in rich:
        less = rich["along own outputs"] - rich["in parallel"]
        yield Statement(40, "running sum: better than training along own outputs", measure, less)
    if "hidden recurrence too" in poor:
        less = poor["in parallel"] - poor["hidden recurrence too"]
        yield Statement(40, "digit before: output recurrence alone misses what no output shows", measure, less)
