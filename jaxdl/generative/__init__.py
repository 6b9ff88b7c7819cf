"""Objectives and samplers of generative models, over any network.

- `adversarial`: `saturating`, `non_saturating`, `least_squares`, `wasserstein`, `hinge`, each an
  `AdversarialObjective`; `gradient_penalty`; `optimal_discriminator`.
- `image_pool`: `init_image_pool`, `query_image_pool`, an `ImagePool` of earlier images.
"""

from jaxdl.generative.adversarial import (
    AdversarialObjective,
    gradient_penalty,
    hinge,
    least_squares,
    non_saturating,
    optimal_discriminator,
    saturating,
    wasserstein,
)
from jaxdl.generative.image_pool import ImagePool, init_image_pool, query_image_pool

__all__ = [
    "AdversarialObjective",
    "ImagePool",
    "gradient_penalty",
    "hinge",
    "init_image_pool",
    "least_squares",
    "non_saturating",
    "optimal_discriminator",
    "query_image_pool",
    "saturating",
    "wasserstein",
]
