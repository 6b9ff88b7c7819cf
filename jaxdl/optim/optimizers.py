"""The optimizers by name: chains of the atoms with the defaults of their papers.

Each is an `optax.GradientTransformation`: ``init(params)`` gives the state, ``update(gradients, state, params)`` the
change of the parameters and the next state. In the equations ``w`` are parameters, ``g`` gradients, ``lr`` the
learning rate, a number or a schedule, and ``t`` counts from 1.
"""

from collections.abc import Callable

import jax
import optax
from optax import GradientTransformation

from jaxdl.optim import transforms
from jaxdl.optim.rates import scale_by_learning_rate
from jaxdl.optim.regularization import Mask, add_decayed_weights
from jaxdl.typing import ArrayLike, PyTree, Schedule


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


def nesterov(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike | Schedule = 0.9,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Look ahead before the step (Nesterov, 1983), in the form of Sutskever et al. (2013).

    ``u_t = decay u_(t-1) + g_t``, ``w_t = w_(t-1) - lr (decay u_t + g_t)``: the parameters here are those that
    `nesterov_look_ahead` calls the point ahead.
    """
    scaled = transforms.trace(decay, nesterov=True, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def nesterov_look_ahead(
    gradient: Callable[[PyTree], PyTree], params: PyTree, velocity: PyTree, learning_rate: ArrayLike, decay: ArrayLike
) -> tuple[PyTree, PyTree]:
    """Make one step of Nesterov's method as it is told: go where the momentum leads, look at the slope, correct.

    ``u_t = decay u_(t-1) + gradient(w_(t-1) - lr decay u_(t-1))``, ``w_t = w_(t-1) - lr u_t``. With ``u_0 = 0`` its
    points ahead ``w - lr decay u`` are the parameters of `nesterov`. Returns the parameters and the velocity ``u``.

    >>> nesterov_look_ahead(lambda w: w, 1.0, 0.0, learning_rate=0.5, decay=0.9)
    (0.5, 1.0)
    """
    ahead = jax.tree.map(lambda w, u: w - learning_rate * decay * u, params, velocity)
    velocity = jax.tree.map(lambda u, g: decay * u + g, velocity, gradient(ahead))
    return jax.tree.map(lambda w, u: w - learning_rate * u, params, velocity), velocity


def adagrad(
    learning_rate: ArrayLike | Schedule,
    initial_accumulator_value: ArrayLike = 0.0,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide each gradient by the root of the sum of its squares so far (Duchi, Hazan and Singer, 2011).

    ``v_t = v_(t-1) + g_t^2``, ``w_t = w_(t-1) - lr g_t / (sqrt(v_t + eps_root) + eps)``, with
    ``v_0 = initial_accumulator_value``. The rate only falls. Lecture-note form: ``eps=0, eps_root=1e-8``.
    """
    scaled = transforms.scale_by_rss(initial_accumulator_value, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def rmsprop(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Divide each gradient by the root of its recent mean square (Tieleman and Hinton, 2012).

    ``v_t = decay v_(t-1) + (1 - decay) g_t^2``, ``w_t = w_(t-1) - lr g_t / (sqrt(v_t + eps_root) + eps)``.
    Lecture-note form: ``eps=0, eps_root=1e-8``.
    """
    scaled = transforms.scale_by_rms(decay, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def adadelta(
    learning_rate: ArrayLike | Schedule = 1.0,
    rho: ArrayLike = 0.9,
    eps: ArrayLike = 1e-6,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Give each gradient the size of the past steps, so that no rate has to be chosen (Zeiler, 2012).

    ``v_t = rho v_(t-1) + (1 - rho) g_t^2``, ``d_t = sqrt(u_(t-1) + eps) / sqrt(v_t + eps) g_t``,
    ``u_t = rho u_(t-1) + (1 - rho) d_t^2``, ``w_t = w_(t-1) - lr d_t``.
    """
    scaled = transforms.scale_by_adadelta(rho, eps, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


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


def adamw(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    weight_decay: ArrayLike = 1e-4,
    mask: Mask = None,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    With the direction ``d_t`` of `adam`: ``w_t = w_(t-1) - lr (d_t + weight_decay w_(t-1))``. ``mask`` says which
    parameters decay: a pattern that is searched in their paths (``"kernel$"``), a tree of Booleans, or a function
    of the parameters that returns one.
    """
    return optax.chain(
        transforms.scale_by_adam(b1, b2, eps, eps_root, moment_dtype=moment_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def adamax(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Adam with the maximum norm in place of the Euclidean one (Kingma and Ba, 2015, section 7.1).

    ``m_t = b1 m_(t-1) + (1 - b1) g_t``, ``v_t = max(b2 v_(t-1), |g_t|)``,
    ``w_t = w_(t-1) - lr m_t / (1 - b1^t) / (v_t + eps)``: a maximum has no bias to correct.
    """
    scaled = transforms.scale_by_adamax(b1, b2, eps, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def maxprop(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    *,
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """RMSProp with the maximum in place of the mean square: AdaMax without its first moment.

    ``v_t = max(decay v_(t-1), |g_t|)``, ``w_t = w_(t-1) - lr g_t / (v_t + eps)``. Known from lecture notes only.
    """
    scaled = transforms.scale_by_maximum(decay, eps, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def nadam(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    variant: str = "dozat",
    moment_dtype: jax.typing.DTypeLike | None = None,
) -> GradientTransformation:
    """Adam that looks ahead as Nesterov does (Dozat, 2016).

    With the moments ``m_t``, ``v_t`` of `adam`: ``w_t = w_(t-1) - lr n_t / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``,
    where ``n_t`` is by ``variant``

    - "dozat": ``b1 m_t / (1 - b1^(t+1)) + (1 - b1) g_t / (1 - b1^t)``, as in optax;
    - "simplified": ``(b1 m_t + (1 - b1) g_t) / (1 - b1^t)``, the lecture-note form;
    - "momentum_decay": ``c_(t+1) m_t / (1 - c_1 ... c_(t+1)) + (1 - c_t) g_t / (1 - c_1 ... c_t)`` with
      ``c_t = b1 (1 - 0.96^(0.004 t) / 2)``, as in torch.
    """
    scaled = transforms.scale_by_nadam(b1, b2, eps, eps_root, variant=variant, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))
