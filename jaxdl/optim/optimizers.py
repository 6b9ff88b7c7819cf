"""The optimizers by name: chains of the atoms with the defaults of their papers.

Each is an `optax.GradientTransformation`: ``init(params)`` gives the state, ``update(gradients, state, params)`` the
change of the parameters and the next state. In the equations ``w`` are parameters, ``g`` gradients, ``lr`` the
learning rate, a number or a schedule, and ``t`` counts from 1.
"""

import jax
import optax
from optax import GradientTransformation

from jaxdl.optim import transforms
from jaxdl.optim.rates import scale_by_learning_rate
from jaxdl.typing import ArrayLike, Schedule


def sgd(learning_rate: ArrayLike | Schedule) -> GradientTransformation:
    """Descend along the gradient, ``w_t = w_(t-1) - lr g_t`` (Robbins and Monro, 1951).

    On the whole data this is gradient descent, on a sample of it stochastic gradient descent.

    >>> import jax.numpy as jnp
    >>> optimizer = sgd(0.1)
    >>> update, state = optimizer.update(jnp.ones(1), optimizer.init(jnp.zeros(1)))
    >>> round(float(update[0]), 6)
    -0.1
    """
    return optax.chain(scale_by_learning_rate(learning_rate))


def momentum(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike | Schedule = 0.9,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Descend along the decayed sum of gradients: ``u_t = decay u_(t-1) + g_t``, ``w_t = w_(t-1) - lr u_t``.

    The heavy ball (Polyak, 1964). ``decay`` may be a schedule, such as `schedules.sutskever_momentum`.
    """
    return optax.chain(transforms.trace(decay, moment_dtype=moment_dtype), scale_by_learning_rate(learning_rate))


def adam(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide the mean gradient by the root of the mean square gradient (Kingma and Ba, 2015).

    ``m_t = b1 m_(t-1) + (1 - b1) g_t``, ``v_t = b2 v_(t-1) + (1 - b2) g_t^2``,
    ``w_t = w_(t-1) - lr m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``.

    The paper has ``eps`` beside the root; the lecture-note form has it inside: ``eps=0, eps_root=1e-8``.
    L2 in the loss and decoupled decay differ here: ``optax.chain(add_decayed_weights(l2), adam(lr))`` is the former,
    `adamw` the latter.
    """
    scaled = transforms.scale_by_adam(b1, b2, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))
