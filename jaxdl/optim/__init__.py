"""Optimizers written as `optax.GradientTransformation`, so that they compose with everything in optax."""

from jaxdl.optim import averaging, line_search, schedules, search
from jaxdl.optim.clipping import clip, clip_by_global_norm, clip_by_norm
from jaxdl.optim.freezing import discriminative_factors, freeze, scale_by_path
from jaxdl.optim.optimizers import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    maxprop,
    momentum,
    nadam,
    nesterov,
    nesterov_look_ahead,
    rmsprop,
    sgd,
)
from jaxdl.optim.rates import learning_rate, reduce_on_plateau, scale_by_learning_rate
from jaxdl.optim.regularization import add_decayed_weights, add_l1_subgradient, masked, proximal_l1
from jaxdl.optim.transforms import (
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_maximum,
    scale_by_moments,
    scale_by_nadam,
    scale_by_rms,
    scale_by_rss,
    trace,
)

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "add_decayed_weights",
    "add_l1_subgradient",
    "averaging",
    "clip",
    "clip_by_global_norm",
    "clip_by_norm",
    "discriminative_factors",
    "freeze",
    "learning_rate",
    "line_search",
    "masked",
    "maxprop",
    "momentum",
    "nadam",
    "nesterov",
    "nesterov_look_ahead",
    "proximal_l1",
    "reduce_on_plateau",
    "rmsprop",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_learning_rate",
    "scale_by_maximum",
    "scale_by_moments",
    "scale_by_nadam",
    "scale_by_path",
    "scale_by_rms",
    "scale_by_rss",
    "schedules",
    "search",
    "sgd",
    "trace",
]
