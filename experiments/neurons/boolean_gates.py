"""A single neuron computes 14 of the 16 functions of two inputs: all but XOR and XNOR.

    python -m experiments run boolean_gates

A perceptron is trained on every function; where it does not converge, no separating line exists. Counted, too: the
functions of one and three inputs that a perceptron can compute, those of two inputs that a McCulloch-Pitts neuron
without weights can compute, and those of one hidden layer of 2^n perceptrons.
"""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl.models import neurons

GOAL = {"perceptron_of_2": 14, "network_of_2": 16}
NAMES = (
    *("never", "$x_1$ and $x_2$", "$x_1$ and not $x_2$", "$x_1$", "not $x_1$ and $x_2$", "$x_2$", "XOR"),
    *("$x_1$ or $x_2$", "NOR", "XNOR", "not $x_2$", "$x_1$ or not $x_2$", "not $x_1$", "not $x_1$ or $x_2$"),
    *("NAND", "always"),
)


@dataclass(frozen=True)
class Config(configuration.Config):
    """All functions of two inputs."""

    SMOKE = {"counted": (1,)}

    max_mistakes: int = 100
    """Mistakes after which a perceptron stops."""
    counted: tuple[int, ...] = (1, 3)
    """Numbers of inputs for which the separable functions are counted, besides two."""


def run(config: Config, run: Run) -> dict[str, int]:
    """Train a perceptron on each function, count, and draw the lines."""
    tables, inputs = neurons.truth_tables(2), neurons.boolean_inputs(2)
    learn = jax.vmap(lambda table: neurons.learn_perceptron(inputs, table, max_mistakes=config.max_mistakes))
    learned = jax.jit(learn)(tables)
    run.figure("lines", drawings.draw_gates(np.asarray(tables), learned, NAMES))
    separable = jax.jit(neurons.separable)
    counts = {f"perceptron_of_{n}": int(jnp.sum(separable(neurons.truth_tables(n)))) for n in config.counted}
    network = jax.jit(jax.vmap(lambda table: neurons.apply_boolean_network(neurons.boolean_network(table), inputs)))
    return {
        **counts,
        "perceptron_of_2": int(jnp.sum(learned.converged)),
        "mcculloch_pitts_of_2": mcculloch_pitts(),
        "network_of_2": int(jnp.sum(jnp.all(network(tables) == tables, axis=1))),
    }


def mcculloch_pitts() -> int:
    """Count the functions of two inputs that some threshold and choice of inhibitory inputs computes."""
    inputs = (neurons.boolean_inputs(2) + 1) / 2
    choices = itertools.product(range(4), itertools.product([False, True], repeat=2))
    return len({tuple(neurons.mcculloch_pitts(inputs, *choice).tolist()) for choice in choices})
