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

Synthesis
    `maximize`, `maximize_by_line_search`, `minimize`, `jitter`, `total_variation`, `fourier_image`, `fourier_spectrum`,
    `inversion_loss`, `linear_maximizer`; `neural_style`, `style_loss`, `content_loss`, `gram_matrix`, `deep_dream`. The
    result: `Synthesis`.

Patches of a data set
    `maximal_patches`, `cut_patches`, `receptive_interval`; `Layer`, `Patches`.

Adversarial examples
    `fgsm`, `pgd`, `fooling_images`, `targeted_loss`, `untargeted_loss`, `success_rate`, `targeted_success_rate`,
    `confidence`.

Are the maps to be trusted?
    `cascading_randomization`, `independent_randomization`, `rank_correlation`, `structural_similarity`, `infidelity`,
    `max_sensitivity`, `sensitivity_n`, `random_subsets`, `curve_area`.

Namespaces
    ``gradient_flow``: norms of Jacobians through time and depth. ``rewriting``: functions with some of their operations
    replaced. ``scores``: checks of what is explained, and sums within a bounded memory.
"""

from jaxdl.interpret import gradient_flow, rewriting, scores
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
from jaxdl.interpret.patches import Layer, Patches, cut_patches, maximal_patches, receptive_interval
from jaxdl.interpret.perturbation import deletion_curve, insertion_curve, occlusion, rise
from jaxdl.interpret.rules import (
    deconvolution,
    deconvolution_rule,
    guided_backpropagation,
    guided_rule,
    modify_rectifiers,
)
from jaxdl.interpret.scores import target_score
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
    "attribute_tokens",
    "cascading_randomization",
    "confidence",
    "content_loss",
    "curve_area",
    "cut_patches",
    "deconvolution",
    "deconvolution_rule",
    "deep_dream",
    "deletion_curve",
    "fgsm",
    "fooling_images",
    "fourier_image",
    "fourier_spectrum",
    "grad_cam",
    "grad_cam_map",
    "gradient",
    "gradient_flow",
    "gradient_times_input",
    "gram_matrix",
    "guided_backpropagation",
    "guided_grad_cam",
    "guided_rule",
    "independent_randomization",
    "infidelity",
    "insertion_curve",
    "integrated_gradients",
    "inversion_loss",
    "jitter",
    "linear_maximizer",
    "max_sensitivity",
    "maximal_patches",
    "maximize",
    "maximize_by_line_search",
    "minimize",
    "modify_rectifiers",
    "names",
    "neural_style",
    "occlusion",
    "pgd",
    "random_subsets",
    "rank_correlation",
    "read",
    "receptive_interval",
    "replace",
    "rewriting",
    "rise",
    "saliency",
    "scores",
    "sensitivity_n",
    "smooth_grad",
    "structural_similarity",
    "style_loss",
    "success_rate",
    "target_score",
    "targeted_loss",
    "targeted_success_rate",
    "total_variation",
    "untargeted_loss",
]
