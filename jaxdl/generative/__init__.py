"""Objectives and samplers of generative models, over any network.

- `autoregressive`: `pixel_log_likelihood`, `sample_pixels`
- `flows`: `flow_log_likelihood`, `standard_normal_log_density`, `sample_flow`, `to_logits`, `from_logits`
- `noise_schedule`: `NoiseSchedule`, `make_schedule`, `linear_schedule`, `cosine_schedule`, `diffuse`, `posterior_mean`,
  `factors_at`
- `diffusion`: `diffusion_loss` of a `Parametrization`, `make_denoiser`, `denoiser_of_score`, `guide`; samplers
  `sample_ddpm`, `sample_ddim`
- `diffusion_bound`: `variational_bound` with its terms `VariationalBound`, `binned_gaussian_log_likelihood`
- `matching`: `denoising_score_matching`, `sample_langevin`, `flow_matching`, `integrate_euler`, `integrate_heun`
- `levels`: `quantize`, `dequantize`, `bits_per_dimension`, `check_levels`
- `fidelity`: `frechet_distance`, `precision_recall` with its `PrecisionRecall`
"""

from jaxdl.generative.autoregressive import pixel_log_likelihood, sample_pixels
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
from jaxdl.generative.fidelity import PrecisionRecall, frechet_distance, precision_recall
from jaxdl.generative.flows import (
    flow_log_likelihood,
    from_logits,
    sample_flow,
    standard_normal_log_density,
    to_logits,
)
from jaxdl.generative.levels import bits_per_dimension, check_levels, dequantize, quantize
from jaxdl.generative.matching import (
    denoising_score_matching,
    flow_matching,
    integrate_euler,
    integrate_heun,
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

__all__ = [
    "NOISE",
    "PARAMETRIZATIONS",
    "VELOCITY",
    "X0",
    "NoiseSchedule",
    "Parametrization",
    "PrecisionRecall",
    "VariationalBound",
    "binned_gaussian_log_likelihood",
    "bits_per_dimension",
    "check_levels",
    "cosine_schedule",
    "denoiser_of_score",
    "denoising_score_matching",
    "dequantize",
    "diffuse",
    "diffusion_loss",
    "factors_at",
    "flow_log_likelihood",
    "flow_matching",
    "frechet_distance",
    "from_logits",
    "guide",
    "integrate_euler",
    "integrate_heun",
    "linear_schedule",
    "make_denoiser",
    "make_schedule",
    "pixel_log_likelihood",
    "posterior_mean",
    "precision_recall",
    "quantize",
    "sample_ddim",
    "sample_ddpm",
    "sample_flow",
    "sample_langevin",
    "sample_pixels",
    "standard_normal_log_density",
    "to_logits",
    "variational_bound",
]
