"""Single neurons and networks of a few.

- `mcculloch_pitts`: the threshold neuron of McCulloch and Pitts
- `perceptron`, `learn_perceptron`, `trace_perceptron`, `signed_points`, `mistake_bound`, `convergence`: Rosenblatt's
  perceptron, its learning rules and the convergence theorem
- `boolean_inputs`, `truth_tables`, `separable`, `boolean_network`, `apply_boolean_network`: Boolean functions
- `hebbian_weights`, `pseudo_inverse_weights`, `hopfield_energy`, `update_synchronously`, `update_asynchronously`,
  `recall`: binary Hopfield networks; `retrieve`, `continuous_energy`: the continuous one, whose update is attention
- `maxout_pair`, `apply_maxout_pair`: any continuous function as the difference of two maxout units
- `sigmoid_neuron` with its loss, gradient and fit; `towers`, `apply_towers`: approximation by sigmoid neurons
"""

from jaxdl.models.neurons.boolean import apply_boolean_network, boolean_inputs, boolean_network, separable, truth_tables
from jaxdl.models.neurons.hopfield import (
    continuous_energy,
    hebbian_weights,
    hopfield_energy,
    pseudo_inverse_weights,
    recall,
    retrieve,
    update_asynchronously,
    update_synchronously,
)
from jaxdl.models.neurons.maxout_units import apply_maxout_pair, maxout_pair
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
    "apply_maxout_pair",
    "apply_towers",
    "boolean_inputs",
    "boolean_network",
    "continuous_energy",
    "convergence",
    "fit_sigmoid_neuron",
    "hebbian_weights",
    "hopfield_energy",
    "init_sigmoid_neuron",
    "learn_perceptron",
    "maxout_pair",
    "mcculloch_pitts",
    "mistake_bound",
    "perceptron",
    "pseudo_inverse_weights",
    "recall",
    "retrieve",
    "separable",
    "sigmoid_neuron",
    "sigmoid_neuron_gradient",
    "sigmoid_neuron_loss",
    "signed_points",
    "towers",
    "trace_perceptron",
    "truth_tables",
    "update_asynchronously",
    "update_synchronously",
]
