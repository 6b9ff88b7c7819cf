"""Single neurons and what little networks of them can do."""

from jaxdl.models.neurons.boolean import apply_boolean_network, boolean_inputs, boolean_network, separable, truth_tables
from jaxdl.models.neurons.perceptron_learning import (
    Convergence,
    Learned,
    convergence,
    learn_perceptron,
    mistake_bound,
    perceptron,
    signed_points,
    trace_perceptron,
)
from jaxdl.models.neurons.sigmoid import (
    apply_towers,
    fit_sigmoid_neuron,
    init_sigmoid_neuron,
    sigmoid_neuron,
    sigmoid_neuron_gradient,
    sigmoid_neuron_loss,
    towers,
)
from jaxdl.models.neurons.threshold import mcculloch_pitts

__all__ = [
    "Convergence",
    "Learned",
    "apply_boolean_network",
    "apply_towers",
    "boolean_inputs",
    "boolean_network",
    "convergence",
    "fit_sigmoid_neuron",
    "init_sigmoid_neuron",
    "learn_perceptron",
    "mcculloch_pitts",
    "mistake_bound",
    "perceptron",
    "separable",
    "sigmoid_neuron",
    "sigmoid_neuron_gradient",
    "sigmoid_neuron_loss",
    "signed_points",
    "towers",
    "trace_perceptron",
    "truth_tables",
]
