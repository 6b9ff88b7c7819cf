"""The exposure gap of generators trained with true inputs, and scheduled sampling.

    python -m experiments run exposure_gap

A GRU of 24 units continues sequences of 50 after 10 true ones: angles of a pendulum, and tokens of a Markov chain of
order two, whose true probabilities after any prefix are known. The inputs in training are the truth always, never, or
with a probability that falls from 1 to 0, linearly or along an inverse sigmoid (Bengio et al., 2015). The gap is the
error along its own outputs minus that along the truth: of the angle (root mean square), or the divergence of the next
token from the chain's. A second variant of the pendulum lets the gradient flow through the generator's own outputs,
which it does not do in the paper.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import special

from experiments.harness.claims import Statement, judge_all
from experiments.harness.configuration import require
from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.recurrent import readout_step
from experiments.harness.sequences.settings import OnNewSequences
from experiments.sequences import drawings
from jaxdl import data, decode, losses, optim
from jaxdl.nn import initializers
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (22, 39)
SYMBOLS, TESTED, PROMPT, HIDDEN = 6, 200, 10, 24
TAUGHT = ("teacher forcing", "linear", "inverse sigmoid", "curriculum", "free running")
SCHEDULED = TAUGHT[1:3]
FORCED = 1 / 3
"""The share of training that the curriculum forces."""
UNITS = {"pendulum": "radians", "chain": "nats"}


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Small generators, each trained in five ways."""

    SMOKE = {"seeds": 2, "steps": 2, "length": 12, "batch_size": 2, "sources": ("chain",)}

    length: int = 50
    """Steps of a sequence."""
    batch_size: int = 16
    learning_rate: float = 0.005
    """Learning rate of Adam, with a cosine decay."""
    sources: tuple[str, ...] = ("pendulum", "pendulum, gradient through own words", "chain")
    """Sources of the sequences."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.length > PROMPT + 1, "length", f"> {PROMPT + 1}", self.length)


class Source(NamedTuple):
    """A source of sequences and the errors of a generator of them.

    ``draw(key, count, length, truth)`` samples ``[N, T]`` tokens or ``[N, T, 1]`` vectors, where ``truth`` are the
    parameters of a seed; ``choose`` makes an output the next input. ``errors(key, step, x, truth)`` returns the error
    at every step after the prompt with the inputs ``x``, and with the own outputs as inputs, both ``[T - PROMPT]``.
    """

    size: int
    truth: Callable[[np.random.Generator], np.ndarray]
    draw: Callable[[Key, int, int, Array], Array]
    loss: Callable[[Array, Array], Array]
    choose: decode.Choice | None
    errors: Callable[[Key, decode.StepFunction, Array, Array], tuple[Array, Array]]


def angle_errors(key: Key, step: decode.StepFunction, x: Array, truth: Array) -> tuple[Array, Array]:
    """Return the root mean squared errors of the angle."""
    outputs = [continue_from(key, step, x, p) for p in (1.0, 0.0)]
    forced, free = (jnp.sqrt(jnp.mean((y - x[:, PROMPT:]) ** 2, axis=(0, 2))) for y in outputs)
    return forced, free


def divergences(key: Key, step: decode.StepFunction, x: Array, transition: Array) -> tuple[Array, Array]:
    """Return the divergences of the next token from the chain's, which are exact also along own outputs."""

    def divergence(x: Array) -> Array:
        p = transition[x[:, PROMPT - 2 : -2], x[:, PROMPT - 1 : -1]]
        log_q = jax.nn.log_softmax(continue_from(key, step, x, 1.0))
        return jnp.mean(jnp.sum(p * (jnp.log(p) - log_q), axis=-1), axis=0)

    carry, _ = jax.lax.scan(step, jnp.zeros((len(x), HIDDEN)), x[:, : PROMPT - 1].T)
    own = decode.sample(key, step, carry, x[:, PROMPT - 1], max_length=x.shape[1] - PROMPT).tokens
    return divergence(x), divergence(jnp.concatenate([x[:, :PROMPT], own], axis=1))


def continue_from(
    key: Key, step: decode.StepFunction, x: Array, p: Array | float, choose: decode.Choice | None = None
) -> Array:
    """Return the outputs ``[N, T - PROMPT, K]`` after the prompt, where inputs are true with probability ``p``."""
    carry = jnp.zeros((len(x), HIDDEN))
    return decode.continue_prompt(key, step, carry, x, PROMPT, teacher_probability=p, choose=choose)


PENDULUM = Source(
    size=1,
    truth=lambda random: np.zeros(0, np.float32),
    draw=lambda key, count, length, truth: data.sequences.pendulum(key, count, length),
    loss=losses.mean_squared_error,
    choose=None,
    errors=angle_errors,
)
CHAIN = Source(
    size=SYMBOLS,
    truth=lambda random: data.sequences.random_transition(random, SYMBOLS, order=2),
    draw=data.sequences.markov,
    loss=losses.cross_entropy,
    choose=decode.sample_token,
    errors=divergences,
)
THROUGH = PENDULUM._replace(choose=lambda key, y: y)
SOURCES = {"pendulum": PENDULUM, "pendulum, gradient through own words": THROUGH, "chain": CHAIN}


def learn(source: Source, config: Config, key: Key, truth: Array, teacher_probability: Array) -> dict[str, Array]:
    """Train a generator with the teacher probabilities ``p [steps]`` and evaluate it."""
    cell, keys = cells.GRU(HIDDEN), jax.random.split(key, 6)
    rate = optim.schedules.cosine_decay(config.learning_rate, config.steps)
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(rate))

    def sample(inputs: tuple[Key, Array]) -> Batch:
        key, p = inputs
        return {"x": source.draw(key, config.batch_size, config.length, truth), "p": p}

    def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        step = readout_step(cell, variables["params"])
        outputs = continue_from(key, step, batch["x"], batch["p"], source.choose)
        return source.loss(outputs, batch["x"][:, PROMPT:]), ({}, {})

    output = initializers.lecun_normal()(keys[2], (HIDDEN, source.size))
    params = {
        "cell": cells.init_cell(keys[1], cell, source.size),
        "output": {"kernel": output, "bias": jnp.zeros(source.size)},
    }
    inputs = jax.random.split(keys[3], config.steps), teacher_probability
    state, metrics = fit_samples(loss, optimizer, {"params": params}, sample, inputs, key)
    x = source.draw(keys[4], TESTED, config.length, truth)
    forced, free = source.errors(keys[5], readout_step(cell, state.params), x, truth)
    return {"loss": metrics["loss"], "forced": forced, "free": free}


def teacher_probabilities(steps: int) -> np.ndarray:
    """Return ``p [5, steps]``; the scheduled ones fall during training and pass one half in its middle."""
    step = np.arange(steps)
    k = max(1.0, steps / 2 / special.lambertw(steps / 2).real)  # so that k ln k = steps / 2
    falls = (optim.schedules.linear(1.0, 0.0, steps)(step), decode.inverse_sigmoid_decay(k)(step))
    forced = optim.schedules.piecewise_constant([1.0, 0.0], [max(1, round(FORCED * steps))])(step)
    return np.stack([np.ones(steps), *falls, forced, np.zeros(steps)]).astype(np.float32)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the generators in all ways and compare their errors."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    p = teacher_probabilities(config.steps)
    random, found = np.random.default_rng(config.seed), {}
    for name in config.sources:
        truth = np.stack([SOURCES[name].truth(random) for _ in range(config.seeds)])
        in_all_ways = jax.vmap(partial(learn, SOURCES[name], config), (None, None, 0))
        found[name] = jax.device_get(jax.jit(jax.vmap(in_all_ways, (0, 0, None), out_axes=1))(keys, truth, p))
        check_learned(found[name]["loss"])
        judge_all(run, statements(name, found[name]))
    run.figure("exposure", drawings.draw_exposure(found, TAUGHT, UNITS))
    run.figure("teaching", drawings.draw_teaching(p, found, TAUGHT))
    return {
        slug(f"{kind}_{name}_{taught}"): float(np.mean(values[kind][i]))
        for name, values in found.items()
        for i, taught in enumerate(TAUGHT)
        for kind in ("forced", "free")
    }


def statements(name: str, values: dict[str, np.ndarray]) -> list[Statement]:
    """State the gap, and its reduction by scheduled sampling and by a curriculum, by one value per seed."""
    forced, free = (np.mean(values[kind], axis=-1) for kind in ("forced", "free"))
    gap, unit = free - forced, UNITS[name.split(",", maxsplit=1)[0]]
    rows = [(22, "teacher forcing alone leaves an exposure gap", ", along own words minus along the truth", gap[0])]
    methods = {taught: (22, f"scheduled sampling ({taught})") for taught in SCHEDULED}
    for taught, (claim, method) in (methods | {"curriculum": (39, "forcing the first third only")}).items():
        i, less = TAUGHT.index(taught), f" less along own words, of {free[0].mean():.3g}"
        rows += [
            (claim, f"{method} narrows it", f" less gap, of {gap[0].mean():.3g}", gap[0] - gap[i]),
            (claim, f"{method} is better in use", less, free[0] - free[i]),
        ]
    return [Statement(claim, f"{name}: {text}", unit + measure, samples) for claim, text, measure, samples in rows]
