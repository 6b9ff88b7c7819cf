"""Optimizers as `optax.GradientTransformation`, so that they compose with everything in optax.

Optimizers, each a chain of transformations:
    sgd, momentum, nesterov, adagrad, rmsprop, adadelta, adam, adamw, adamax, maxprop, nadam, nadam_simplified,
    nadam_momentum_decay; nesterov_look_ahead is Nesterov's method in its original form.
Directions, without a learning rate:
    trace, scale_by_adam, scale_by_adamax, scale_by_maximum, scale_by_rms, scale_by_rss, scale_by_adadelta,
    scale_by_nadam, scale_by_nadam_simplified, scale_by_nadam_momentum_decay.
Learning rate:
    scale_by_learning_rate, reduce_on_plateau, reduce_on_increase; learning_rate reads it from a state;
    `schedules` are functions of the step.
Penalties:
    add_decayed_weights, add_l1_subgradient, proximal_l1.
Clipping:
    clip, clip_by_norm, clip_by_global_norm.
A part of the parameters:
    masked, freeze, frozen_paths, scale_by_path, discriminative_factors; a Mask selects them.
Beside the update:
    `averaging` of parameters, `line_search` along a direction, `search` for a learning rate, `trials`: random
    search over several settings, and restarts.
For transformations of your own:
    `numerics`.

>>> import jax.numpy as jnp, optax
>>> optimizer = optax.chain(clip_by_global_norm(1.0), adam(schedules.cosine_decay(0.5, steps=100)))
>>> params = {"w": jnp.ones(2)}
>>> updates, state = optimizer.update({"w": jnp.array([3.0, -4.0])}, optimizer.init(params), params)
>>> optax.apply_updates(params, updates)["w"].round(4)
Array([0.5, 1.5], dtype=float32)
"""

from jaxdl.optim import averaging, line_search, numerics, schedules, search, trials
from jaxdl.optim.clipping import clip, clip_by_global_norm, clip_by_norm
from jaxdl.optim.freezing import discriminative_factors, freeze, frozen_paths, scale_by_path
from jaxdl.optim.look_ahead import (
    ScaleByNadamMomentumDecayState,
    scale_by_nadam,
    scale_by_nadam_momentum_decay,
    scale_by_nadam_simplified,
)
from jaxdl.optim.optimizers import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    maxprop,
    momentum,
    nadam,
    nadam_momentum_decay,
    nadam_simplified,
    nesterov,
    nesterov_look_ahead,
    rmsprop,
    sgd,
)
from jaxdl.optim.rates import (
    ReduceOnPlateauState,
    ScaleByLearningRateState,
    learning_rate,
    reduce_on_increase,
    reduce_on_plateau,
    scale_by_learning_rate,
)
from jaxdl.optim.regularization import Mask, add_decayed_weights, add_l1_subgradient, masked, proximal_l1
from jaxdl.optim.transforms import (
    ScaleByAdadeltaState,
    ScaleByAdamState,
    ScaleByRmsState,
    TraceState,
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_maximum,
    scale_by_rms,
    scale_by_rss,
    trace,
)

__all__ = [
    "Mask",
    "ReduceOnPlateauState",
    "ScaleByAdadeltaState",
    "ScaleByAdamState",
    "ScaleByLearningRateState",
    "ScaleByNadamMomentumDecayState",
    "ScaleByRmsState",
    "TraceState",
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
    "frozen_paths",
    "learning_rate",
    "line_search",
    "masked",
    "maxprop",
    "momentum",
    "nadam",
    "nadam_momentum_decay",
    "nadam_simplified",
    "nesterov",
    "nesterov_look_ahead",
    "numerics",
    "proximal_l1",
    "reduce_on_increase",
    "reduce_on_plateau",
    "rmsprop",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_learning_rate",
    "scale_by_maximum",
    "scale_by_nadam",
    "scale_by_nadam_momentum_decay",
    "scale_by_nadam_simplified",
    "scale_by_path",
    "scale_by_rms",
    "scale_by_rss",
    "schedules",
    "search",
    "sgd",
    "trace",
    "trials",
]
