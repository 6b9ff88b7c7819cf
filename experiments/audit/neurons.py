"""Neurons and losses: gates, a network of two inputs, sigmoids, cross-entropies, powers through time."""

from typing import cast

import jax
import jax.numpy as jnp

from experiments.audit.item import Item
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
        "hidden steps": steps[0].W[0],
        "output step": steps[1].W,
    }


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
    Item("backpropagation: into the hidden unit, h", "-0.02", "-0.0200", lambda: network()["h"]),
    Item("out of it, a", "0.495", "0.49500", lambda: network()["a"]),
    Item("out of the network, y", "0.512", "0.51237", lambda: network()["y"]),
    Item(
        "error term of the output",
        printed="0.0122",
        right="0.1218",
        compute=lambda: network()["output error term"],
        reason="a decimal place was lost; the next line goes on with 0.122",
    ),
    Item("error term of the hidden unit", "0.003", "0.003046", lambda: network()["hidden error term"]),
    Item("step of the output's weight", "0.0302", "0.030153", lambda: network()["output step"]),
    Item("step of the first input's weight", "0.00015", "0.0001523", lambda: network()["hidden steps"][0]),
    Item(
        "step of the second input's weight",
        printed="0.00045",
        right="0.0004568",
        compute=lambda: network()["hidden steps"][1],
        reason="computed from the rounded error term 0.003",
    ),
]
SIGMOIDS = [
    Item(
        "largest slope of the sigmoid",
        printed="0.00025",
        right="0.25000",
        compute=lambda: largest_slope(activations.sigmoid),
        reason="s (1 - s) at s = 1/2 is 1/4",
    ),
    Item("largest slope of the hyperbolic tangent", "1", "1.0000", lambda: largest_slope(activations.tanh)),
    Item(
        "share of the error lost in one and in two sigmoids, at least",
        printed="0.75 0.9375",
        right="0.75000 0.93750",
        compute=lambda: [1 - largest_slope(activations.sigmoid) ** n for n in (1, 2)],
    ),
    Item("sigmoid of 2", "0.8", "0.8808", lambda: activations.sigmoid(2.0), reason="one digit is too few: 0.88"),
    Item("sigmoid of -2", "0.12", "0.1192", lambda: activations.sigmoid(-2.0)),
    Item(
        "sigmoid of 20", "0.99", "0.99999999794", lambda: activations.sigmoid(20.0), reason="cut off, not rounded: 1.00"
    ),
    Item(
        "sigmoid of -20",
        printed="0.000021",
        right="2.06e-9",
        compute=lambda: activations.sigmoid(-20.0),
        reason="e^-20, four decimal places too large",
    ),
    Item(
        "two regions combined, sigmoid of 0.7 + 0.8",
        printed="0.81",
        right="0.8176",
        compute=lambda: activations.sigmoid(0.7 + 0.8),
        reason="cut off, not rounded: 0.82",
    ),
    Item(
        "softmax of the scores 2, 1, 0",
        printed="0.67 0.33 0.00",
        right="0.6652 0.2447 0.0900",
        compute=lambda: activations.softmax(jnp.array([2.0, 1.0, 0.0])),
        reason="printed: the scores by their sum, which fails for negative scores; softmax takes their exponentials",
    ),
]
CROSS_ENTROPIES = [
    Item("ln 0.6", "-0.51", "-0.51083", lambda: -losses.categorical_cross_entropy(jnp.array([0.6, 0.4]), 0)),
    Item(
        "-ln 0.6",
        printed="0.61",
        right="0.51083",
        compute=lambda: losses.categorical_cross_entropy(jnp.array([0.6, 0.4]), 0),
        reason="a slip: minus the number above",
    ),
    Item(
        "what was behind three doors, probability",
        printed="1.4",
        right="0.0840",
        compute=lambda: jnp.exp(-doors()),
        reason="independent probabilities are multiplied, not added",
    ),
    Item(
        "the same, cross-entropy",
        printed="1.48",
        right="2.4769",
        compute=doors,
        reason="-ln 0.7 - ln 0.3 - ln 0.4",
    ),
    Item(
        "sums of the doors' columns",
        printed="1.0 1.0 1.0",
        right="1.0 1.0 1.2",
        compute=lambda: jnp.sum(jnp.asarray(DOORS), axis=1),
        reason="the third column is no distribution: the walrus has 0.6 there and 0.4 in the sums",
    ),
    Item(
        "precision and recall: 12 taken for dogs, 5 are",
        printed="0.417 0.417",
        right="0.41667 1.0000",
        compute=dogs,
        reason="all 5 dogs were found: recall is 5/5",
    ),
]
THROUGH_TIME = [
    Item("0.36^90, what 90 steps back leave of a gradient", "0", "1.17e-40", lambda: remaining(0.4 * 0.9, 90)),
    Item(
        "1.6^90, the same where it explodes",
        printed="7.06e105",
        right="2.35e18",
        compute=lambda: remaining(0.4 * 4, 90),
        reason="printed as 15^90",
    ),
]
GATES = [
    Item(
        "functions of two inputs, and those that no line separates",
        printed="16 2",
        right="16 2",
        compute=lambda: [len(truth_tables(2)), jnp.sum(~separable(truth_tables(2)))],
    ),
]
ITEMS = [*GATES, *BACKPROPAGATION, *SIGMOIDS, *CROSS_ENTROPIES, *THROUGH_TIME]
