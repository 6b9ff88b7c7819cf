"""Looking inside a network, as functions of functions: any JAX function of arrays will do.

Intermediates
    `names`, `read`, `replace`: the arrays within a function, by name.

Gradients
    `gradient`, `saliency`, `gradient_times_input`, `smooth_grad`, `integrated_gradients`; of tokens
    `attribute_tokens`. The score of a class: `target_score`.

Modified backward rules
    `guided_backpropagation`, `deconvolution`; any rule by `modify_rectifiers`, such as `guided_rule` and
    `deconvolution_rule`.

Class activation maps
    `grad_cam`, `grad_cam_map`, `guided_grad_cam`.

Perturbation
    `occlusion`, `rise`, `deletion_curve`, `insertion_curve`.

Namespaces
    ``gradient_flow``: norms of Jacobians through time and depth. ``rewriting``: functions with some of their operations
    replaced. ``scores``: checks of what is explained, and sums within a bounded memory.
"""

from jaxdl.interpret import gradient_flow, rewriting, scores
from jaxdl.interpret.class_activation import grad_cam, grad_cam_map, guided_grad_cam
from jaxdl.interpret.gradients import (
    attribute_tokens,
    gradient,
    gradient_times_input,
    integrated_gradients,
    saliency,
    smooth_grad,
)
from jaxdl.interpret.intermediates import names, read, replace
from jaxdl.interpret.perturbation import deletion_curve, insertion_curve, occlusion, rise
from jaxdl.interpret.rules import (
    deconvolution,
    deconvolution_rule,
    guided_backpropagation,
    guided_rule,
    modify_rectifiers,
)
from jaxdl.interpret.scores import target_score

__all__ = [
    "attribute_tokens",
    "deconvolution",
    "deconvolution_rule",
    "deletion_curve",
    "grad_cam",
    "grad_cam_map",
    "gradient",
    "gradient_flow",
    "gradient_times_input",
    "guided_backpropagation",
    "guided_grad_cam",
    "guided_rule",
    "insertion_curve",
    "integrated_gradients",
    "modify_rectifiers",
    "names",
    "occlusion",
    "read",
    "replace",
    "rewriting",
    "rise",
    "saliency",
    "scores",
    "smooth_grad",
    "target_score",
]
