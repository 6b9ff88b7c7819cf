"""Looking inside a network, as functions of functions: any ``f(x)`` of arrays can be given.

- `pgd`, `fgsm`, `fooling_images`: adversarial examples; `targeted_loss`, `untargeted_loss`; `success_rate`,
  `targeted_success_rate`, `confidence`
- `cascading_randomization`, `independent_randomization`, `infidelity`, `max_sensitivity`, `sensitivity_n`: are the maps
  to be trusted? `rank_correlation`, `structural_similarity`, `random_subsets`
- `gradient_flow`: norms of gradients and Jacobians through time
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
from jaxdl.interpret.trust import (
    cascading_randomization,
    independent_randomization,
    infidelity,
    max_sensitivity,
    random_subsets,
    rank_correlation,
    sensitivity_n,
    structural_similarity,
)

__all__ = [
    "cascading_randomization",
    "confidence",
    "fgsm",
    "fooling_images",
    "gradient_flow",
    "independent_randomization",
    "infidelity",
    "max_sensitivity",
    "pgd",
    "random_subsets",
    "rank_correlation",
    "sensitivity_n",
    "structural_similarity",
    "success_rate",
    "targeted_loss",
    "targeted_success_rate",
    "untargeted_loss",
]
