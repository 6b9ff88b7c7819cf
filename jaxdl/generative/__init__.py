"""Objectives and samplers of generative models, over any network.

Autoencoders
    `masking_noise`, `salt_and_pepper_noise`: corruptions of the input; `sparsity_penalty`, `contractive_penalty` of the
    code, made for a task by `sparse` and `contractive`; `pretrain_layers` and `merge_layers`, greedy pre-training.

Variational inference
    `evidence_lower_bound` and its `LowerBound`, `gaussian_kl_terms`, `free_bits`; `importance_log_weights`,
    `importance_weighted_bound`, `estimate_log_likelihood`; `bernoulli_log_likelihood`, `gaussian_log_likelihood`.

Discrete latent variables
    `straight_through`, `gumbel_softmax`, `straight_through_gumbel_softmax`, `categorical_kl_terms`; `quantize` and its
    `Quantized`, `codebook_perplexity`.

Principal components and factorization
    `principal_components` with their `PrincipalComponents`, `project`, `reconstruct`; `probabilistic_components`, a
    `LinearGaussian`, with its `marginal_log_likelihood`, `exact_posterior` and `linear_lower_bound`;
    `factorize_kernel` to a `LowRankKernel`, `smallest_rank`.

Adversarial training
    `saturating`, `non_saturating`, `least_squares`, `wasserstein`, `hinge`, each an `AdversarialObjective`;
    `gradient_penalty`; `optimal_discriminator`; `init_image_pool`, `query_image_pool`, an `ImagePool` of images.
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
from jaxdl.generative.autoencoding import (
    contractive,
    contractive_penalty,
    masking_noise,
    salt_and_pepper_noise,
    sparse,
    sparsity_penalty,
)
from jaxdl.generative.components import (
    LinearGaussian,
    PrincipalComponents,
    exact_posterior,
    linear_lower_bound,
    marginal_log_likelihood,
    principal_components,
    probabilistic_components,
    project,
    reconstruct,
)
from jaxdl.generative.discrete import (
    Quantized,
    categorical_kl_terms,
    codebook_perplexity,
    gumbel_softmax,
    quantize,
    straight_through,
    straight_through_gumbel_softmax,
)
from jaxdl.generative.factorization import LowRankKernel, factorize_kernel, smallest_rank
from jaxdl.generative.image_pool import ImagePool, init_image_pool, query_image_pool
from jaxdl.generative.likelihoods import bernoulli_log_likelihood, gaussian_log_likelihood
from jaxdl.generative.pretraining import merge_layers, pretrain_layers
from jaxdl.generative.variational import (
    LowerBound,
    estimate_log_likelihood,
    evidence_lower_bound,
    free_bits,
    gaussian_kl_terms,
    importance_log_weights,
    importance_weighted_bound,
)

__all__ = [
    "AdversarialObjective",
    "ImagePool",
    "LinearGaussian",
    "LowRankKernel",
    "LowerBound",
    "PrincipalComponents",
    "Quantized",
    "bernoulli_log_likelihood",
    "categorical_kl_terms",
    "codebook_perplexity",
    "contractive",
    "contractive_penalty",
    "estimate_log_likelihood",
    "evidence_lower_bound",
    "exact_posterior",
    "factorize_kernel",
    "free_bits",
    "gaussian_kl_terms",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "gumbel_softmax",
    "hinge",
    "importance_log_weights",
    "importance_weighted_bound",
    "init_image_pool",
    "least_squares",
    "linear_lower_bound",
    "marginal_log_likelihood",
    "masking_noise",
    "merge_layers",
    "non_saturating",
    "optimal_discriminator",
    "pretrain_layers",
    "principal_components",
    "probabilistic_components",
    "project",
    "quantize",
    "query_image_pool",
    "reconstruct",
    "salt_and_pepper_noise",
    "saturating",
    "smallest_rank",
    "sparse",
    "sparsity_penalty",
    "straight_through",
    "straight_through_gumbel_softmax",
    "wasserstein",
]
