"""Looking inside a network, as functions of functions: any JAX function of arrays will do.

Intermediates   `names`, `read`, `replace`: the arrays within a function, by name
Synthesis       `maximize`, `maximize_by_line_search`, `inversion_loss`, `neural_style`, `deep_dream`; `minimize`
Patches         `maximal_patches`, `cut_patches`: what excites a channel most in a data set
Adversarial     `pgd`, `fgsm`, `fooling_images`: images that a network takes for something else
Trust           `cascading_randomization`, `infidelity`, `sensitivity_n` and others: do maps explain the network?
Gradient flow   `gradient_flow`: norms of Jacobians through time and depth
"""

from jaxdl.interpret import gradient_flow
from jaxdl.interpret.adversarial import (
    confidence,
    fgsm,
    fooling_images,
    pgd,
    success_rate,
    targeted_loss,
    targeted_success_rate,
    untargeted_loss,
)
from jaxdl.interpret.intermediates import names, read, replace
from jaxdl.interpret.patches import Layer, Patches, cut_patches, maximal_patches, receptive_interval
from jaxdl.interpret.style import content_loss, deep_dream, gram_matrix, neural_style, style_loss
from jaxdl.interpret.synthesis import (
    Synthesis,
    fourier_image,
    fourier_spectrum,
    inversion_loss,
    jitter,
    linear_maximizer,
    maximize,
    maximize_by_line_search,
    minimize,
    total_variation,
)
from jaxdl.interpret.trust import (
    cascading_randomization,
    curve_area,
    independent_randomization,
    infidelity,
    max_sensitivity,
    random_subsets,
    rank_correlation,
    sensitivity_n,
    structural_similarity,
)

__all__ = [
    "Layer",
    "Patches",
    "Synthesis",
    "cascading_randomization",
    "confidence",
    "content_loss",
    "curve_area",
    "cut_patches",
    "deep_dream",
    "fgsm",
    "fooling_images",
    "fourier_image",
    "fourier_spectrum",
    "gradient_flow",
    "gram_matrix",
    "independent_randomization",
    "infidelity",
    "inversion_loss",
    "jitter",
    "linear_maximizer",
    "max_sensitivity",
    "maximal_patches",
    "maximize",
    "maximize_by_line_search",
    "minimize",
    "names",
    "neural_style",
    "pgd",
    "random_subsets",
    "rank_correlation",
    "read",
    "receptive_interval",
    "replace",
    "sensitivity_n",
    "structural_similarity",
    "style_loss",
    "success_rate",
    "targeted_loss",
    "targeted_success_rate",
    "total_variation",
    "untargeted_loss",
]
