"""Optimizers written as `optax.GradientTransformation`, so that they compose with everything in optax."""

from jaxdl.optim.optimizers import adam, momentum, sgd
from jaxdl.optim.rates import learning_rate, scale_by_learning_rate
from jaxdl.optim.transforms import scale_by_adam, scale_by_moments, trace

__all__ = [
    "adam",
    "learning_rate",
    "momentum",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_moments",
    "sgd",
    "trace",
]
