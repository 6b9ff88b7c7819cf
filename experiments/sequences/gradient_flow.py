"""The flow of gradients through time: vanilla networks by spectral radius, LSTM by forget gate.

    python -m experiments run gradient_flow

Random networks of 16 units read small random inputs for 40 steps; measured is the norm of d s_t / d s_k for all t and
k. Vanilla networks have a Gaussian recurrent kernel scaled to a spectral radius of 0.5, 1 and 2 times 1 / gamma, with
the largest slope gamma of the activation (identity 1, tanh 1, sigmoid 1/4) and no bias; LSTMs have orthogonal kernels
and a forget bias of -3, 0 or 6. A gradient vanishes if the mean log10 of its norm over 30 steps is below -1, and
explodes if it is above 1 (Pascanu et al., 2013).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.recurrent import forget_gate, orthogonal_gates
from experiments.sequences import drawings
from jaxdl.interpret import gradient_flow
from jaxdl.nn import activations
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array

CLAIMS = (18,)
SIZE, INPUTS, STEPS, LAG = 16, 4, 40, 30
ACTIVATIONS = {"identity": lambda a: a, "tanh": jnp.tanh, "sigmoid": activations.sigmoid}
RADII = (0.5, 1.0, 2.0)
"""Spectral radii as multiples of ``1 / gamma``, with the largest slope ``gamma`` of the activation."""
VANILLA = {f"{name}, {radius:g}": (i, radius) for i, name in enumerate(ACTIVATIONS) for radius in RADII}
BIASES = {"LSTM, closed": -3.0, "LSTM, half open": 0.0, "LSTM, open": 6.0}
HOW = ("vanish below", "explode above")
SHOWN = ("identity, 2", "tanh, 0.5", "tanh, 1", "tanh, 2", "LSTM, closed", "LSTM, open")
Found = dict[str, np.ndarray]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Networks with random weights on random inputs."""

    SMOKE = {"seeds": 2}
    LEAST = {"seeds": 2}

    seeds: int = 16
    """Independent networks of each kind."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Measure vanilla networks and LSTMs, judge, draw."""
    random, seeds = np.random.default_rng(config.seed), config.seeds
    vanilla, lstm = measure_vanilla(random, seeds), measure_lstm(random, seeds)
    decay = {name: gradient_flow.mean_log10_by_lag(values) for name, values in vanilla["norms"].items()}
    kept = [gradient_flow.within_bound(vanilla["norms"][name], vanilla["bound"][name]) for name in VANILLA]
    judge_all(run, statements(kept, decay, lstm["total"]))
    radii = {name: radius for name, (_, radius) in VANILLA.items()}
    run.figure("decay", drawings.draw_decay(decay, vanilla["bound"], radii, tuple(ACTIVATIONS)))
    run.figure("paths", drawings.draw_paths(lstm, BIASES))
    run.figure("heat", drawings.draw_heat({name: (vanilla["norms"] | lstm["norms"])[name][0] for name in SHOWN}))
    norms = {name: values[:, LAG] for name, values in decay.items()}
    norms |= {name: np.log10(values[:, STEPS - LAG]) for name, values in lstm["total"].items()}
    return {slug(f"log10_{name}"): float(np.mean(norms[name])) for name in norms}


def measure_vanilla(random: np.random.Generator, seeds: int) -> dict[str, Found]:
    """Return the norms of ``d s_t / d s_k`` ``[seeds, t, k]`` of vanilla networks, and their bound by lag."""
    U = random.normal(size=(seeds, SIZE, SIZE))
    W = random.normal(size=(seeds, INPUTS, SIZE)) / INPUTS**0.5
    x = 0.1 * random.normal(size=(seeds, STEPS, INPUTS))

    @jax.jit
    @jax.vmap
    def measure(kind: Array, radius: Array) -> tuple[Array, Array]:
        gamma = jnp.array([gradient_flow.LARGEST_SLOPES[name] for name in ACTIVATIONS])[kind]
        cell = cells.Vanilla(SIZE, lambda a: jax.lax.switch(kind, list(ACTIVATIONS.values()), a))

        def one(U: Array, W: Array, x: Array) -> tuple[Array, Array]:
            U = U * radius / gamma / gradient_flow.spectral_radius(U)
            parameters = {"kernel": W, "recurrent_kernel": U}
            norms = gradient_flow.jacobian_norms(lambda s, x: cell(parameters, s, x)[0], jnp.zeros(SIZE), x)
            return norms, gradient_flow.jacobian_bound(gamma * U, jnp.arange(STEPS + 1), "identity")

        return jax.vmap(one)(*(leaf.astype(np.float32) for leaf in (U, W, x)))

    norms, bound = jax.device_get(measure(*map(np.array, zip(*VANILLA.values(), strict=True))))
    return {"norms": dict(zip(VANILLA, norms, strict=True)), "bound": dict(zip(VANILLA, bound, strict=True))}


def measure_lstm(random: np.random.Generator, seeds: int) -> dict[str, Found]:
    """Return the norms of the two paths of ``d c_T / d c_k`` ``[seeds, k]``, and those of ``d c_t / d c_k``."""
    cell = cells.LSTM(SIZE)
    U = orthogonal_gates(cell, lambda: random.normal(size=(seeds, SIZE, SIZE)))
    W = random.normal(size=(seeds, INPUTS, 4 * SIZE)) / INPUTS**0.5
    x = random.normal(size=(seeds, STEPS, INPUTS))

    @jax.jit
    @jax.vmap
    def measure(bias: Array) -> tuple[gradient_flow.Paths, Array]:
        def one(U: Array, W: Array, x: Array) -> tuple[gradient_flow.Paths, Array]:
            parameters = {"kernel": W, "recurrent_kernel": U, "bias": bias * forget_gate(SIZE)}
            step = lambda state, x: cell(parameters, state, x)[0]  # noqa: E731
            start = cell.init_carry()
            return gradient_flow.lstm_paths(step, start, x), gradient_flow.jacobian_norms(step, start, x)

        return jax.vmap(one)(*(leaf.astype(np.float32) for leaf in (U, W, x)))

    paths, norms = jax.device_get(measure(np.array([*BIASES.values()], np.float32)))
    return {
        name: dict(zip(BIASES, values, strict=True)) for name, values in (*paths._asdict().items(), ("norms", norms))
    }


def statements(kept: list[np.ndarray], decay: Found, lstm: Found) -> Iterator[Statement]:
    """State the parts of the claim, each by one number for every seed."""
    measure = f"log10 of the norm over {LAG} steps"
    for name in ACTIVATIONS:
        below, above = (decay[f"{name}, {radius}"][:, LAG] for radius in ("0.5", "2"))
        vanish, explode = (f"{name}: gradients {how} the critical spectral radius" for how in HOW)
        yield Statement(18, vanish, f"minus {measure}", -below, above=1.0)
        yield Statement(18, explode, measure, above, above=1.0)
    # Floats, not a share with its interval: one exception refutes a bound, no sample proves it.
    exceptions = np.stack(kept).astype(float)
    statement = "the norm never exceeds (gamma lambda)^(t - k)"
    yield Statement(18, statement, "share of networks without any exception", exceptions, 1 - 1e-9, within=(0, 1))
    opened, closed = (np.log10(lstm[name][:, STEPS - LAG]) for name in ("LSTM, open", "LSTM, closed"))
    yield Statement(18, "LSTM: gradients do not vanish while forget gates are open", measure, opened, above=-1.0)
    statement = "LSTM: gradients vanish where forget gates are closed"
    yield Statement(18, statement, f"minus {measure}", -closed, above=1.0)
