"""Objectives and samplers of generative models, over any network.

Autoencoders
    `masking_noise`, `salt_and_pepper_noise`: corruptions of the input; `sparsity_penalty`, `contractive_penalty` of the
    code, made for a task by `sparse` and `contractive`; `pretrain_layers` and `merge_layers`, greedy pre-training.

Variational inference
    `evidence_lower_bound` and its `LowerBound`, `gaussian_kl_terms`, `free_bits`; `importance_log_weights`,
    `importance_weighted_bound`, `estimate_log_likelihood`; `bernoulli_log_likelihood`, `gaussian_log_likelihood`.

Discrete latent variables
    `straight_through`, `gumbel_softmax`, `straight_through_gumbel_softmax`, `categorical_kl_terms`; `quantize_vectors`
    and its `Quantized`, `codebook_perplexity`.

Principal components and factorization
    `principal_components` with their `PrincipalComponents`, `project`, `reconstruct`; `probabilistic_components`, a
    `LinearGaussian`, with its `marginal_log_likelihood`, `exact_posterior` and `linear_lower_bound`;
    `factorize_kernel` to a `LowRankKernel`, `smallest_rank`.

Adversarial training
    `saturating`, `non_saturating`, `least_squares`, `wasserstein`, `hinge`, each an `AdversarialObjective`;
    `gradient_penalty`; `optimal_discriminator`; `init_image_pool`, `query_image_pool`, an `ImagePool` of images.

Pixels, flows and likelihoods
    `pixel_log_likelihood`, `sample_pixels`; `flow_log_likelihood`, `standard_normal_log_density`, `sample_flow`,
    `to_logits`, `from_logits`; `quantize`, `dequantize`, `check_levels`, `bits_per_dimension` of images in integers.

Diffusion and flow matching
    `NoiseSchedule`, made by `make_schedule`, `linear_schedule`, `cosine_schedule`; `diffuse`, `posterior_mean`,
    `factors_at`; `diffusion_loss` of a `Parametrization`, `make_denoiser`, `denoiser_of_score`, `guide`; `sample_ddpm`,
    `sample_ddim`; `variational_bound` with its terms `VariationalBound`, `binned_gaussian_log_likelihood`;
    `denoising_score_matching`, `make_score`, `sample_langevin`; `flow_matching`, `integrate_euler`, `integrate_heun`.

Quality of samples
    `frechet_distance`, `precision_recall` with its `PrecisionRecall`.
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
from jaxdl.generative.autoregressive import pixel_log_likelihood, sample_pixels
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
from jaxdl.generative.diffusion import (
    NOISE,
    PARAMETRIZATIONS,
    VELOCITY,
    X0,
    Parametrization,
    denoiser_of_score,
    diffusion_loss,
    guide,
    make_denoiser,
    sample_ddim,
    sample_ddpm,
)
from jaxdl.generative.diffusion_bound import VariationalBound, binned_gaussian_log_likelihood, variational_bound
from jaxdl.generative.discrete import (
    Quantized,
    categorical_kl_terms,
    codebook_perplexity,
    gumbel_softmax,
    quantize_vectors,
    straight_through,
    straight_through_gumbel_softmax,
)
from jaxdl.generative.factorization import LowRankKernel, factorize_kernel, smallest_rank
from jaxdl.generative.fidelity import PrecisionRecall, frechet_distance, precision_recall
from jaxdl.generative.flows import flow_log_likelihood, from_logits, sample_flow, standard_normal_log_density, to_logits
from jaxdl.generative.image_pool import ImagePool, init_image_pool, query_image_pool
from jaxdl.generative.levels import bits_per_dimension, check_levels, dequantize, quantize
from jaxdl.generative.likelihoods import bernoulli_log_likelihood, gaussian_log_likelihood
from jaxdl.generative.matching import (
    denoising_score_matching,
    flow_matching,
    integrate_euler,
    integrate_heun,
    make_score,
    sample_langevin,
)
from jaxdl.generative.noise_schedule import (
    NoiseSchedule,
    cosine_schedule,
    diffuse,
    factors_at,
    linear_schedule,
    make_schedule,
    posterior_mean,
)
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
    "NOISE",
    "PARAMETRIZATIONS",
    "VELOCITY",
    "X0",
    "AdversarialObjective",
    "ImagePool",
    "LinearGaussian",
    "LowRankKernel",
    "LowerBound",
    "NoiseSchedule",
    "Parametrization",
    "PrecisionRecall",
    "PrincipalComponents",
    "Quantized",
    "VariationalBound",
    "bernoulli_log_likelihood",
    "binned_gaussian_log_likelihood",
    "bits_per_dimension",
    "categorical_kl_terms",
    "check_levels",
    "codebook_perplexity",
    "contractive",
    "contractive_penalty",
    "cosine_schedule",
    "denoiser_of_score",
    "denoising_score_matching",
    "dequantize",
    "diffuse",
    "diffusion_loss",
    "estimate_log_likelihood",
    "evidence_lower_bound",
    "exact_posterior",
    "factorize_kernel",
    "factors_at",
    "flow_log_likelihood",
    "flow_matching",
    "frechet_distance",
    "free_bits",
    "from_logits",
    "gaussian_kl_terms",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "guide",
    "gumbel_softmax",
    "hinge",
    "importance_log_weights",
    "importance_weighted_bound",
    "init_image_pool",
    "integrate_euler",
    "integrate_heun",
    "least_squares",
    "linear_lower_bound",
    "linear_schedule",
    "make_denoiser",
    "make_schedule",
    "make_score",
    "marginal_log_likelihood",
    "masking_noise",
    "merge_layers",
    "non_saturating",
    "optimal_discriminator",
    "pixel_log_likelihood",
    "posterior_mean",
    "precision_recall",
    "pretrain_layers",
    "principal_components",
    "probabilistic_components",
    "project",
    "quantize",
    "quantize_vectors",
    "query_image_pool",
    "reconstruct",
    "salt_and_pepper_noise",
    "sample_ddim",
    "sample_ddpm",
    "sample_flow",
    "sample_langevin",
    "sample_pixels",
    "saturating",
    "smallest_rank",
    "sparse",
    "sparsity_penalty",
    "standard_normal_log_density",
    "straight_through",
    "straight_through_gumbel_softmax",
    "to_logits",
    "variational_bound",
    "wasserstein",
]
