"""Neurons and losses: gates, a network of two inputs, sigmoids, cross-entropies, powers through time."""

from typing import cast

import jax
import jax.numpy as jnp

from experiments.audit import files
from experiments.audit.files import cite
from jaxdl import losses, metrics, optim
from jaxdl.backprop import dense
from jaxdl.backprop.activations import pair
from jaxdl.backprop.losses import squared_error
from jaxdl.models.neurons import separable, truth_tables
from jaxdl.nn import activations
from jaxdl.typing import Array

LEARNING_RATE = 0.5
DOORS = ((0.7, 0.2, 0.1), (0.3, 0.4, 0.3), (0.1, 0.5, 0.6))
"""The printed probabilities of duck, beaver and walrus behind each door."""
BEHIND = (0.7, 0.3, 0.4)
"""The probabilities of the animals found behind the doors."""


def network() -> dict[str, Array]:
    """Run the network of sigmoids forward and backward, with the error ``(y - 1)^2 / 2``.

    The error terms are minus the gradients of the error with respect to the pre-activations, or the biases; the steps
    are minus the learning rate times the gradients with respect to the weights.
    """
    layers = [dense.Layer(jnp.array([[0.4, -0.2]]), jnp.zeros(1)), dense.Layer(jnp.array([[0.1]]), jnp.zeros(1))]
    logit, cache = dense.forward(layers, jnp.array([[0.1, 0.3]]), "sigmoid")
    g, slope = pair("sigmoid")
    y = g(logit)
    _, d_y = squared_error(y, jnp.ones_like(y))
    gradients, _ = dense.backward(layers, cache, d_y / 2 * slope(logit, y), "sigmoid")
    optimizer = optim.sgd(LEARNING_RATE)
    updates, _ = optimizer.update(gradients, optimizer.init(layers))
    steps = cast(list[dense.Layer], updates)
    return {
        "h": cache.a[0],
        "a": cache.h[1],
        "y": y,
        "hidden error term": -gradients[0].b,
        "output error term": -gradients[1].b,
        "output step": steps[1].W,
    }


def step_of(error_term: float, x: float) -> Array:
    """Return the step of a weight whose input is ``x``, minus the learning rate times its gradient."""
    optimizer = optim.sgd(LEARNING_RATE)
    gradient = jnp.asarray(-error_term * x)
    return cast(Array, optimizer.update(gradient, optimizer.init(gradient))[0])


def largest_slope(function: activations.Activation) -> Array:
    """Return the largest slope of an activation on a fine grid around 0."""
    return jnp.max(jax.vmap(jax.grad(function))(jnp.linspace(-5, 5, 2001)))


def remaining(factor: float, steps: int) -> Array:
    """Return the derivative of the last state of ``s_t = factor s_(t-1)`` with respect to the first."""
    return jax.grad(lambda s: jax.lax.fori_loop(0, steps, lambda _, s: factor * s, s))(1.0)


def doors() -> Array:
    """Return the cross-entropy of the animals found behind the three doors."""
    p = jnp.asarray(BEHIND)
    return losses.categorical_cross_entropy(jnp.stack([p, 1 - p], axis=-1), jnp.zeros(3, jnp.int32), reduction="sum")


def dogs() -> list[Array]:
    """Return precision and recall of 12 predicted dogs, of which 5 are all the dogs."""
    taken, labels = jnp.ones(12, jnp.int32), (jnp.arange(12) < 5).astype(jnp.int32)
    matrix = metrics.confusion_matrix(taken, labels, 2)
    return [metrics.precision(matrix)[1], metrics.recall(matrix)[1]]


BACKPROPAGATION = [
    cite("backpropagation: into the hidden unit, h", "-0.02", "-0.0200", lambda: network()["h"], "0.1 + 0.3 = -0.02"),
    cite("out of it, a", "0.495", "0.49500", lambda: network()["a"], r"\text{Sigmoid}(-0.02) = 0.495"),
    cite(
        "out of the network, y", "0.512", "0.51237", lambda: network()["y"], r"\text{Sigmoid}(0.1 \times 0.495) = 0.512"
    ),
    cite(
        "error term of the output",
        printed="0.0122",
        right="0.1218",
        compute=lambda: network()["output error term"],
        phrase=r"\times (1 - 0.512) = 0.0122",
        reason="a decimal place was lost; the next line goes on with 0.122",
    ),
    cite(
        "error term of the hidden unit",
        printed="0.003",
        right="0.003046",
        compute=lambda: network()["hidden error term"],
        phrase=r"0.1 \times 0.122 \times 0.495 \times (1 - 0.495) = 0.003",
    ),
    cite("step of the output's weight", "0.0302", "0.030153", lambda: network()["output step"], "= 0.0302"),
    cite(
        "step of the first input's weight, of the printed error term 0.003",
        printed="0.00015",
        right="0.00015",
        compute=lambda: step_of(0.003, 0.1),
        phrase=r"0.00015 \times 0.00045",
    ),
    cite(
        "step of the second input's weight, of the printed error term 0.003",
        printed="0.00045",
        right="0.00045",
        compute=lambda: step_of(0.003, 0.3),
        phrase=r"0.5 \times 0.003 \times 0.3",
    ),
]
SIGMOIDS = [
    cite(
        "largest slope of the sigmoid",
        printed="0.00025",
        right="0.25000",
        compute=lambda: largest_slope(activations.sigmoid),
        phrase="max derivative of sigmoid is 0.00025",
        reason="s (1 - s) at s = 1/2 is 1/4",
    ),
    cite(
        "largest slope of the hyperbolic tangent",
        printed="1",
        right="1.0000",
        compute=lambda: largest_slope(activations.tanh),
        phrase=r"\left| \frac{d\tanh x}{dx} \right|_{\max} = 1",
        file=files.RECURRENT,
    ),
    cite(
        "share of the error lost in one and in two sigmoids, at least",
        printed="0.75 0.9375",
        right="0.75000 0.93750",
        compute=lambda: [1 - largest_slope(activations.sigmoid) ** n for n in (1, 2)],
        phrase="errors can be reduced by atleast 75%. & errors are solved down to 93.75%",
    ),
    cite(
        "sigmoid of 2",
        printed="0.8",
        right="0.8808",
        compute=lambda: activations.sigmoid(2.0),
        phrase=r"\sigma(1+1) = 0.8",
        reason="cut off: 0.88, as another page has it",
    ),
    cite("sigmoid of -2", "0.12", "0.1192", lambda: activations.sigmoid(-2.0), r"\sigma(-1-1) = 0.12"),
    cite(
        "sigmoid of -20",
        printed="0.000021",
        right="2.06e-9",
        compute=lambda: activations.sigmoid(-20.0),
        phrase=r"\sigma(-20) = 0.000021",
        reason="e^-20, four decimal places too large",
    ),
    cite(
        "two regions combined, sigmoid of 0.7 + 0.8",
        printed="0.81",
        right="0.8176",
        compute=lambda: activations.sigmoid(0.7 + 0.8),
        phrase="G(0.7, 0.5) = 0.81",
        reason="cut off, not rounded: 0.82; the second argument is 0.8, the probability before the formula",
    ),
]
CROSS_ENTROPIES = [
    cite(
        "ln 0.6",
        printed="-0.51",
        right="-0.51083",
        compute=lambda: -losses.categorical_cross_entropy(jnp.array([0.6, 0.4]), 0),
        phrase=r"\ln(0.6) = -0.51",
    ),
    cite(
        "-ln 0.6",
        printed="0.61",
        right="0.51083",
        compute=lambda: losses.categorical_cross_entropy(jnp.array([0.6, 0.4]), 0),
        phrase=r"-\ln(0.6) = 0.61",
        reason="a slip: minus the number before it",
    ),
    cite(
        "what was behind three doors, probability",
        printed="1.4",
        right="0.0840",
        compute=lambda: jnp.exp(-doors()),
        phrase="P = 0.7 + 0.3 + 0.4 = 1.4",
        reason="independent probabilities are multiplied, not added",
    ),
    cite(
        "the same, cross-entropy",
        printed="1.48",
        right="2.4769",
        compute=doors,
        phrase=r"CE = -\log(0.7) + -\ln(0.3) + -\ln(0.4) = 1.48",
        reason="-ln 0.7 - ln 0.3 - ln 0.4",
    ),
    cite(
        "sums of the doors' columns",
        printed="1.0 1.0 1.0",
        right="1.0 1.0 1.2",
        compute=lambda: jnp.sum(jnp.asarray(DOORS), axis=1),
        phrase="The numbers in columns should add to 1.",
        reason="the third column is no distribution: the walrus has 0.6 there and 0.4 in the sums",
    ),
    cite(
        "precision and recall: 12 taken for dogs, 5 are",
        printed="0.417 0.417",
        right="0.41667 1.0000",
        compute=dogs,
        phrase="recall = 5/12.",
        reason="all 5 dogs were found: recall is 5/5",
    ),
]
THROUGH_TIME = [
    cite(
        "0.36^90, what 90 steps back leave of a gradient",
        printed="0",
        right="1.17e-40",
        compute=lambda: remaining(0.4 * 0.9, 90),
        phrase=r"(0.36)^{90} \approx 0",
        file=files.RECURRENT,
    ),
]
GATES = [
    cite(
        "functions of two inputs, and those that no line separates",
        printed="16 2",
        right="16 2",
        compute=lambda: [len(truth_tables(2)), jnp.sum(~separable(truth_tables(2)))],
        phrase="Out of these, only XOR and !XOR are not linearly separable.",
        file=files.COURSE,
    ),
]
RATES = [
    cite(
        "a logarithmic grid of learning rates",
        printed="0.0001 0.001 0.001 0.1 1.0",
        right="0.0001 0.0010 0.0100 0.1000 1.0000",
        compute=lambda: jnp.logspace(-4, 0, 5),
        phrase="0.0001, 0.001, 0.001, 0.1, 1.0.",
        file=files.COURSE,
        reason="0.001 is there twice, 0.01 is not",
    ),
]
ITEMS = [*GATES, *BACKPROPAGATION, *SIGMOIDS, *CROSS_ENTROPIES, *THROUGH_TIME, *RATES]
