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
from matplotlib.figure import Figure
from scipy import special

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS, smooth
from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequence_plots import legend, panels, plot_interval
from experiments.harness.sequence_settings import OnNewSequences
from jaxdl import decode, losses, optim
from jaxdl.data.sources import sequences
from jaxdl.decode.generation import Choice
from jaxdl.nn import initializers
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

CLAIMS = (22,)
SYMBOLS, TESTED, PROMPT, HIDDEN = 6, 200, 10, 24
TAUGHT = ("teacher forcing", "linear", "inverse sigmoid", "free running")
SCHEDULED = TAUGHT[1:3]


Step = Callable[[Array, Array], tuple[Array, Array]]
"""``(h, x_t) -> (h, y_t)``."""
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Small generators, each trained in four ways."""

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
        configuration.require(self.length > PROMPT + 1, "length", f"> {PROMPT + 1}", self.length)


class Source(NamedTuple):
    """A source of sequences and the error of a generator of them.

    ``draw(key, count, truth)`` samples ``[N, T]`` tokens or ``[N, T, 1]`` vectors, where ``truth`` are the parameters
    of a seed. ``free(key, step, x, truth)`` returns the error at every step of a generator with its own outputs as
    inputs after the prompt, ``forced`` that with the inputs ``x``, both ``[T - prompt]``.
    """

    size: int
    truth: Callable[[np.random.Generator], np.ndarray]
    draw: Callable[[Key, int, PyTree], Array]
    loss: Callable[[Array, Array], Array]
    choose: Choice | None
    forced: Callable[..., Array]
    free: Callable[..., Array]


def read(key: Key, step: Step, x: Array, p: ArrayLike = 1.0, choose: Choice | None = None) -> Array:
    """Return the outputs ``[N, T - 1, K]`` along sequences ``x``, of which the first ``PROMPT`` are always inputs."""
    teach = jnp.where(jnp.arange(x.shape[1] - 1) < PROMPT - 1, 1.0, p)
    carry = jnp.zeros((len(x), HIDDEN))
    return decode.scheduled_sampling(key, step, carry, x[:, 0], x[:, 1:], teacher_probability=teach, choose=choose)[1]


def pendulum(length: int, choose: Choice | None = None) -> Source:
    """Return the source of pendulums, with the root mean squared error of the angle."""

    def error(key: Key, step: Step, x: Array, p: float) -> Array:
        return jnp.sqrt(jnp.mean((read(key, step, x, p) - x[:, 1:])[:, PROMPT - 1 :] ** 2, axis=(0, 2)))

    return Source(
        size=1,
        truth=lambda random: np.zeros(0, np.float32),
        draw=lambda key, count, truth: sequences.pendulum(key, count, length),
        loss=losses.mean_squared_error,
        choose=choose,
        forced=lambda key, step, x, truth: error(key, step, x, 1.0),
        free=lambda key, step, x, truth: error(key, step, x, 0.0),
    )


def chain(length: int) -> Source:
    """Return the source of a Markov chain of order two, with the divergence of the generator from the chain.

    The chain gives the true probabilities after any prefix, so that the error is exact also along own outputs.
    """

    def divergence(key: Key, step: Step, x: Array, transition: Array) -> Array:
        p = transition[x[:, PROMPT - 2 : -2], x[:, PROMPT - 1 : -1]]
        log_q = jax.nn.log_softmax(read(key, step, x)[:, PROMPT - 1 :])
        return jnp.mean(jnp.sum(p * (jnp.log(p) - log_q), axis=-1), axis=0)

    def along_own(key: Key, step: Step, x: Array, transition: Array) -> Array:
        carry, _ = jax.lax.scan(step, jnp.zeros((len(x), HIDDEN)), x[:, : PROMPT - 1].T)
        own = decode.sample(key, step, carry, x[:, PROMPT - 1], max_length=length - PROMPT).tokens
        return divergence(key, step, jnp.concatenate([x[:, :PROMPT], own], axis=1), transition)

    def truth(random: np.random.Generator) -> np.ndarray:
        """Draw non-uniform transition probabilities, all above 0."""
        uneven = random.dirichlet(np.full(SYMBOLS, 0.3), (SYMBOLS,) * 2)
        return (0.95 * uneven + 0.05 / SYMBOLS).astype(np.float32)

    return Source(
        size=SYMBOLS,
        truth=truth,
        draw=lambda key, count, truth: sequences.markov(key, count, length, truth),
        loss=losses.cross_entropy,
        choose=decode.sample_token,
        forced=divergence,
        free=along_own,
    )


SOURCES = {
    "pendulum": pendulum,
    "pendulum, gradient through own words": partial(pendulum, choose=lambda key, y: y),
    "chain": chain,
}
UNITS = {"pendulum": "radians", "chain": "nats"}


def make_learn(source: Source, config: Config) -> Callable[[Key, Array, Array], dict[str, Array]]:
    """Make the function that trains a generator with the teacher probabilities ``p [steps]`` and evaluates it."""
    cell = cells.GRU(HIDDEN)
    rate = optim.schedules.cosine_decay(config.learning_rate, config.steps)
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(rate))

    def stepper(params: PyTree) -> Step:
        def step(h: Array, x: Array) -> tuple[Array, Array]:
            h, y = cell(params["cell"], h, jax.nn.one_hot(x, source.size) if x.ndim == 1 else x)
            return h, linear(y, **params["output"])

        return step

    def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        x = batch["x"]
        outputs = read(key, stepper(variables["params"]), x, batch["p"], source.choose)
        return source.loss(outputs[:, PROMPT - 1 :], x[:, PROMPT:]), ({}, {})

    def learn(key: Key, truth: Array, teacher_probability: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 6)

        def sample(inputs: tuple[Key, Array]) -> Batch:
            key, p = inputs
            return {"x": source.draw(key, config.batch_size, truth), "p": p}

        output = initializers.lecun_normal()(keys[2], (HIDDEN, source.size))
        params = {
            "cell": cells.init_cell(keys[1], cell, source.size),
            "output": {"kernel": output, "bias": jnp.zeros(source.size)},
        }
        inputs = jax.random.split(keys[3], config.steps), teacher_probability
        state, metrics = fit_samples(loss, optimizer, {"params": params}, sample, inputs, key)
        step, x = stepper(state.params), source.draw(keys[4], TESTED, truth)
        return {
            "loss": metrics["loss"],
            "forced": source.forced(keys[5], step, x, truth),
            "free": source.free(keys[5], step, x, truth),
        }

    return learn


def teacher_probabilities(steps: int) -> np.ndarray:
    """Return ``p [4, steps]``; the scheduled ones fall during training and pass one half in its middle."""
    step = np.arange(steps)
    k = max(1.0, steps / 2 / special.lambertw(steps / 2).real)  # so that k ln k = steps / 2
    falls = (optim.schedules.linear(1.0, 0.0, steps)(step), decode.inverse_sigmoid_decay(k)(step))
    return np.stack([np.ones(steps), *falls, np.zeros(steps)]).astype(np.float32)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the generators in all ways and compare their errors."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    p = teacher_probabilities(config.steps)
    random = np.random.default_rng(config.seed)
    found: Found = {}
    for name in config.sources:
        source = SOURCES[name](config.length)
        truth = np.stack([source.truth(random) for _ in range(config.seeds)])
        learn = jax.vmap(jax.vmap(make_learn(source, config), (None, None, 0)), (0, 0, None), out_axes=1)
        found[name] = jax.device_get(jax.jit(learn)(keys, truth, p))
        check_learned(found[name]["loss"])
        assess(run, name, found[name])
    run.figure("exposure", draw_errors(found))
    run.figure("teaching", draw_teaching(p, found))
    return {
        slug(f"{kind}_{name}_{taught}"): float(np.mean(values[kind][i]))
        for name, values in found.items()
        for i, taught in enumerate(TAUGHT)
        for kind in ("forced", "free")
    }


def assess(run: Run, name: str, values: dict[str, np.ndarray]) -> None:
    """Judge the gap and its reduction by scheduled sampling, by one value per seed."""
    forced, free = (np.mean(values[kind], axis=-1) for kind in ("forced", "free"))
    gap = free - forced
    unit = UNITS[name.split(",", maxsplit=1)[0]]
    statement = f"{name}: teacher forcing alone leaves an exposure gap"
    run.claim(judge(22, statement, f"{unit}, along own words minus along the truth", gap[0]))
    for i in (TAUGHT.index(taught) for taught in SCHEDULED):
        statement = f"{name}: scheduled sampling ({TAUGHT[i]}) narrows it"
        run.claim(judge(22, statement, f"{unit} less gap, of {gap[0].mean():.3g}", gap[0] - gap[i]))
        statement = f"{name}: scheduled sampling ({TAUGHT[i]}) is better in use"
        run.claim(judge(22, statement, f"{unit} less along own words, of {free[0].mean():.3g}", free[0] - free[i]))


def draw_errors(found: Found) -> Figure:
    """Draw the errors over time after the prompt, along the truth and along own outputs."""
    figure, (axes,) = panels(len(found), size=(4.6, 3.8))
    for axis, (name, values) in zip(axes, found.items(), strict=True):
        for i, (taught, colour) in enumerate(zip(TAUGHT, COLOURS, strict=False)):
            for kind, style in (("free", "-"), ("forced", ":")):
                time = 1 + np.arange(values[kind].shape[-1])
                settings = {"style": style, "alpha": 0.12, "label": taught if kind == "free" else None}
                plot_interval(axis, time, values[kind][i], colour, lowest=lambda mean: 0.2 * mean, **settings)
        axis.set(yscale="log", xlabel="step after the prompt", ylabel=UNITS[name.split(",")[0]])
        axis.set_title(name)
    legend(axes[-1], title="trained by", fontsize=8, loc="center")
    figure.suptitle("Error along own words, and dotted along the truth", fontsize=11)
    return figure


def draw_teaching(p: np.ndarray, found: Found) -> Figure:
    """Draw the teacher probabilities during training and the losses."""
    figure, (axes,) = panels(1 + len(found), size=(4.2, 3.4))
    for i, (taught, colour) in enumerate(zip(TAUGHT, COLOURS, strict=False)):
        axes[0].plot(p[i], color=colour, label=taught)
        for axis, (name, values) in zip(axes[1:], found.items(), strict=True):
            axis.plot(smooth(values["loss"][i], 25).mean(axis=0), color=colour)
            axis.set(yscale="log", xlabel="step", title=f"Training loss, {name.replace(', ', chr(10))}")
    axes[0].set(xlabel="step", title="Teacher probability")
    legend(axes[0])
    return figure
