"""The flow of gradients through time: vanilla networks by spectral radius, LSTM by forget gate.

    python -m experiments run gradient_flow

Random networks of 16 units read small random inputs for 40 steps; measured is the norm of d s_t / d s_k for all t and
k. Vanilla networks have a Gaussian recurrent kernel scaled to a spectral radius of 0.5, 1 and 2 times 1 / gamma, with
the largest slope gamma of the activation (identity 1, tanh 1, sigmoid 1/4) and no bias; LSTMs have orthogonal kernels
and a forget bias of -3, 0 or 6. A gradient vanishes if the mean log10 of its norm over 30 steps is below -1, and
explodes if it is above 1 (Pascanu et al., 2013).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.recurrent import forget_gate, orthogonal_gates
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequence_plots import legend, panels, plot_ranges
from jaxdl.interpret import gradient_flow
from jaxdl.nn import activations
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, PyTree

CLAIMS = (18,)
SIZE, INPUTS, STEPS, LAG = 16, 4, 40, 30
ACTIVATIONS = {"identity": lambda a: a, "tanh": jnp.tanh, "sigmoid": activations.sigmoid}
RADII = (0.5, 1.0, 2.0)
"""Spectral radii as multiples of ``1 / gamma``, with the largest slope ``gamma`` of the activation."""
VANILLA = {f"{name}, {radius:g}": (i, radius) for i, name in enumerate(ACTIVATIONS) for radius in RADII}
BIASES = {"LSTM, closed": -3.0, "LSTM, half open": 0.0, "LSTM, open": 6.0}
Found = dict[str, np.ndarray]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Networks with random weights on random inputs."""

    SMOKE = {"seeds": 2}

    seeds: int = 16
    """Independent networks of each kind."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=2)


def run(config: Config, run: Run) -> dict[str, float]:
    """Measure vanilla networks and LSTMs, judge, draw."""
    random, seeds = np.random.default_rng(config.seed), config.seeds
    vanilla, lstm = measure_vanilla(random, seeds), measure_lstm(random, seeds)
    decay = {name: by_lag(values) for name, values in vanilla["norms"].items()}
    assess(run, vanilla, decay, lstm)
    run.figure("decay", draw_decay(vanilla, decay))
    run.figure("paths", draw_paths(lstm))
    run.figure("heat", draw_heat(vanilla["norms"], lstm["norms"]))
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


def by_lag(norms: np.ndarray) -> np.ndarray:
    """Return the mean of ``log10 norm`` over all pairs of times with the same lag, ``[seeds, lags]``."""
    with np.errstate(divide="ignore"):
        logarithm = np.log10(norms)
    return np.stack([np.diagonal(logarithm, -lag, 1, 2).mean(axis=-1) for lag in range(norms.shape[1])], axis=1)


def assess(run: Run, vanilla: dict[str, Found], decay: Found, lstm: dict[str, Found]) -> None:
    """Judge the parts of the claim, each by one number for every seed."""
    measure = f"log10 of the norm over {LAG} steps"
    for activation in ACTIVATIONS:
        below, above = (decay[f"{activation}, {radius}"][:, LAG] for radius in ("0.5", "2"))
        statement = f"{activation}: gradients vanish below the critical spectral radius"
        run.claim(judge(18, statement, f"minus {measure}", -below, above=1.0))
        statement = f"{activation}: gradients explode above the critical spectral radius"
        run.claim(judge(18, statement, measure, above, above=1.0))
    # Floats, not a share with its interval: one exception refutes a bound, no sample proves it.
    kept = [keeps_bound(vanilla["norms"][name], vanilla["bound"][name]).astype(float) for name in VANILLA]
    statement = "the norm never exceeds (gamma lambda)^(t - k)"
    measure_kept = "share of networks without any exception"
    run.claim(judge(18, statement, measure_kept, np.stack(kept), above=1 - 1e-9, within=(0, 1)))
    opened, closed = (np.log10(lstm["total"][name][:, STEPS - LAG]) for name in ("LSTM, open", "LSTM, closed"))
    statement = "LSTM: gradients do not vanish while forget gates are open"
    run.claim(judge(18, statement, measure, opened, above=-1.0))
    run.claim(judge(18, "LSTM: gradients vanish where forget gates are closed", f"minus {measure}", -closed, above=1.0))


def keeps_bound(norms: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """Return for each network whether all norms are within the bound, up to rounding in float32."""
    lags = np.subtract.outer(np.arange(STEPS + 1), np.arange(STEPS + 1))
    allowed = np.where(lags >= 0, bound[:, np.abs(lags)], 0)
    return np.all(norms <= allowed * (1 + 1e-4), axis=(1, 2))


def draw_decay(vanilla: dict[str, Found], decay: Found) -> Figure:
    """Draw the norms of vanilla networks by lag, with their bound."""
    figure, (axes,) = panels(len(ACTIVATIONS), size=(14 / 3, 4), sharey=True)
    lags = np.arange(STEPS + 1)
    for axis, activation in zip(axes, ACTIVATIONS, strict=True):
        names = [name for name in VANILLA if name.startswith(activation)]
        plot_ranges(axis, lags, {f"{VANILLA[name][1]:g} / gamma": 10.0 ** decay[name] for name in names})
        for name, colour in zip(names, COLOURS, strict=False):
            radius = VANILLA[name][1]
            bound = np.exp(np.log(vanilla["bound"][name]).mean(axis=0))
            axis.plot(lags, bound, "--", color=colour, linewidth=1)
            axis.plot(lags, radius**lags, ":", color=colour, linewidth=1)
        axis.set(yscale="log", ylim=(1e-15, 1e15), xlabel="t - k", title=f"vanilla network, {activation}")
    axes[0].set_ylabel("norm of d s_t / d s_k")
    legend(axes[0], title="spectral radius", loc="lower left")
    dashed = axes[1].plot([], [], "k--", linewidth=1, label="(gamma largest singular value)^(t - k)")
    dotted = axes[1].plot([], [], "k:", linewidth=1, label="(gamma spectral radius)^(t - k)")
    legend(axes[1], handles=dashed + dotted, loc="lower left", fontsize=8)
    return figure


def draw_paths(lstm: dict[str, Found]) -> Figure:
    """Draw the two paths of an LSTM's gradient by lag."""
    figure, (axes,) = panels(len(BIASES), size=(13 / 3, 3.6), sharey=True)
    lags = STEPS - np.arange(STEPS + 1)
    for axis, (name, bias) in zip(axes, BIASES.items(), strict=True):
        parts = ("forget", "output", "total")
        plot_ranges(axis, lags, {part: np.maximum(lstm[part][name], 1e-30) for part in parts})
        axis.set(yscale="log", ylim=(1e-20, 1e4), xlabel="T - k", title=f"{name}: forget bias {bias:g}")
    axes[0].set_ylabel("norm of the part of d c_T / d c_k")
    legend(axes[0], title="path")
    return figure


def draw_heat(vanilla: PyTree, lstm: PyTree) -> Figure:
    """Draw the norms between all pairs of times of one network of each kind."""
    shown = {name: vanilla[name][0] for name in ("identity, 2", "tanh, 0.5", "tanh, 1", "tanh, 2")}
    shown |= {name: lstm[name][0] for name in ("LSTM, closed", "LSTM, open")}
    figure, (axes,) = panels(len(shown), size=(2.6, 3), sharey=True)
    for axis, (name, norms) in zip(axes, shown.items(), strict=True):
        logarithm = np.ma.masked_less_equal(norms, 0)
        image = axis.imshow(np.ma.log10(logarithm), cmap="RdBu_r", vmin=-6, vmax=6)
        axis.set(title=name, xlabel="k")
        axis.grid(visible=False)
    axes[0].set_ylabel("t")
    figure.colorbar(image, ax=axes, label="log10 of the norm of d s_t / d s_k", shrink=0.9)
    return figure
