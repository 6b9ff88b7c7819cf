"""The optimizers by name: chains of transformations with the defaults of their papers.

Each is an `optax.GradientTransformation`: ``init(params)`` gives the state, ``update(gradients, state, params)`` the
change of the parameters and the next state. In the equations ``w`` are parameters, ``g`` gradients, ``lr`` the
learning rate, a number or a schedule, and ``t`` counts the updates from 1. ``eps`` is added to the root, as the papers
have it, and ``eps_root`` inside of it: ``eps=0, eps_root=1e-8`` is the other convention.
"""

from collections.abc import Callable

import jax
import optax
from jax.typing import DTypeLike
from optax import GradientTransformation

from jaxdl.optim import look_ahead, transforms
from jaxdl.optim.rates import scale_by_learning_rate
from jaxdl.optim.regularization import Mask, add_decayed_weights
from jaxdl.typing import ArrayLike, PyTree, Schedule


def sgd(learning_rate: ArrayLike | Schedule) -> GradientTransformation:
    """Build stochastic gradient descent (Robbins and Monro, 1951).

    ``w_t = w_(t-1) - lr g_t``. With gradients of the whole data set this is gradient descent.

    >>> import jax.numpy as jnp
    >>> optimizer, w = sgd(0.5), jnp.array([1.0])
    >>> updates, state = optimizer.update(jnp.array([2.0]), optimizer.init(w))
    >>> optax.apply_updates(w, updates)
    Array([0.], dtype=float32)
    """
    return optax.chain(scale_by_learning_rate(learning_rate))


def momentum(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike | Schedule = 0.9,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build gradient descent with momentum, the heavy ball (Polyak, 1964).

    ``u_t = decay u_(t-1) + g_t``, ``w_t = w_(t-1) - lr u_t``. Under a constant gradient the steps grow to
    ``lr / (1 - decay)``. ``decay`` may be a schedule, such as `schedules.sutskever_momentum`.

    >>> import jax.numpy as jnp
    >>> optimizer, g = momentum(0.5, decay=0.5), jnp.array([1.0])
    >>> _, state = optimizer.update(g, optimizer.init(g))
    >>> optimizer.update(g, state)[0]
    Array([-0.75], dtype=float32)
    """
    return optax.chain(transforms.trace(decay, moment_dtype=moment_dtype), scale_by_learning_rate(learning_rate))


def nesterov(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike | Schedule = 0.9,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build Nesterov's accelerated gradient (Nesterov, 1983), in the form of Sutskever et al. (2013).

    ``u_t = decay u_(t-1) + g_t``, ``w_t = w_(t-1) - lr (decay u_t + g_t)``. These parameters are the points ahead,
    ``w - lr decay u``, of `nesterov_look_ahead`.

    >>> import jax.numpy as jnp
    >>> optimizer, g = nesterov(0.5, decay=0.5), jnp.array([1.0])
    >>> optimizer.update(g, optimizer.init(g))[0]
    Array([-0.75], dtype=float32)
    """
    scaled = transforms.trace(decay, nesterov=True, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def nesterov_look_ahead(
    gradient: Callable[[PyTree], PyTree], params: PyTree, velocity: PyTree, learning_rate: ArrayLike, decay: ArrayLike
) -> tuple[PyTree, PyTree]:
    """Step by Nesterov's method in its original form: take the gradient at the point where momentum leads.

    ``u_t = decay u_(t-1) + gradient(w_(t-1) - lr decay u_(t-1))``, ``w_t = w_(t-1) - lr u_t``. With ``u_0 = 0`` its
    points ahead, ``w - lr decay u``, are the parameters of `nesterov`.

    Returns:
        The parameters ``w_t`` and the velocity ``u_t``.

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
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build AdaGrad (Duchi, Hazan and Singer, 2011).

    ``v_t = v_(t-1) + g_t^2`` from ``v_0 = initial_accumulator_value``,
    ``w_t = w_(t-1) - lr g_t / (sqrt(v_t + eps_root) + eps)``. The sum only grows, so the steps only shrink.

    >>> import jax.numpy as jnp
    >>> optimizer, g = adagrad(0.5, initial_accumulator_value=7.0), jnp.array([3.0])
    >>> optimizer.update(g, optimizer.init(g))[0]
    Array([-0.375], dtype=float32)
    """
    scaled = transforms.scale_by_rss(initial_accumulator_value, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def rmsprop(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build RMSProp (Tieleman and Hinton, 2012).

    ``v_t = decay v_(t-1) + (1 - decay) g_t^2``, ``w_t = w_(t-1) - lr g_t / (sqrt(v_t + eps_root) + eps)``. The mean
    square starts at 0 without correction, so the first step is ``lr / sqrt(1 - decay)``.

    >>> import jax.numpy as jnp
    >>> optimizer, g = rmsprop(0.5, decay=0.75), jnp.array([3.0])
    >>> optimizer.update(g, optimizer.init(g))[0].round(4)
    Array([-1.], dtype=float32)
    """
    scaled = transforms.scale_by_rms(decay, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def adadelta(
    learning_rate: ArrayLike | Schedule = 1.0,
    rho: ArrayLike = 0.9,
    eps: ArrayLike = 1e-6,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build AdaDelta (Zeiler, 2012).

    ``v_t = rho v_(t-1) + (1 - rho) g_t^2``, ``d_t = sqrt(u_(t-1) + eps) / sqrt(v_t + eps) g_t``,
    ``u_t = rho u_(t-1) + (1 - rho) d_t^2``, ``w_t = w_(t-1) - lr d_t``. The paper has no learning rate (1); ``eps``
    takes its place, because the first steps have a size of about ``sqrt(eps)``.

    >>> import jax.numpy as jnp
    >>> optimizer, g = adadelta(rho=0.75, eps=0.01), jnp.array(3.0)
    >>> round(float(optimizer.update(g, optimizer.init(g))[0]), 2)
    -0.2
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
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build Adam (Kingma and Ba, 2015).

    ``m_t = b1 m_(t-1) + (1 - b1) g_t``, ``v_t = b2 v_(t-1) + (1 - b2) g_t^2``,
    ``w_t = w_(t-1) - lr m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``.

    L2 in the loss and decoupled weight decay differ here: ``optax.chain(add_decayed_weights(l2), adam(lr))`` is the
    former, `adamw` the latter.

    >>> import jax.numpy as jnp
    >>> optimizer, g = adam(0.5), jnp.array([4.0, -0.1])
    >>> optimizer.update(g, optimizer.init(g))[0].round(4)
    Array([-0.5,  0.5], dtype=float32)
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
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    With the direction ``d_t`` of `scale_by_adam`: ``w_t = w_(t-1) - lr (d_t + weight_decay w_(t-1))``. The decay is
    multiplied by the learning rate, as in optax and torch; the paper multiplies it by the schedule alone.

    Args:
        learning_rate: a number or a schedule.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root.
        eps_root: added inside of the root.
        weight_decay: the strength of the decay.
        mask: which parameters decay: a pattern searched in their paths (``"kernel$"``), a tree of Booleans, or a
            function of the parameters that returns one; None for all.
        moment_dtype: dtype of the moments; None for that of the parameters.

    >>> import jax.numpy as jnp
    >>> optimizer, w = adamw(0.5, weight_decay=0.1), jnp.array([10.0])
    >>> optimizer.update(jnp.array([1.0]), optimizer.init(w), w)[0].round(4)
    Array([-1.], dtype=float32)
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
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build AdaMax, Adam with the maximum norm (Kingma and Ba, 2015, section 7.1).

    ``m_t = b1 m_(t-1) + (1 - b1) g_t``, ``v_t = max(b2 v_(t-1), |g_t|)``,
    ``w_t = w_(t-1) - lr m_t / (1 - b1^t) / (v_t + eps)``. A maximum has no bias to correct.

    >>> import jax.numpy as jnp
    >>> optimizer, g = adamax(0.5), jnp.array([4.0, -0.1])
    >>> optimizer.update(g, optimizer.init(g))[0].round(4)
    Array([-0.5,  0.5], dtype=float32)
    """
    scaled = transforms.scale_by_adamax(b1, b2, eps, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def maxprop(
    learning_rate: ArrayLike | Schedule,
    decay: ArrayLike = 0.9,
    eps: ArrayLike = 1e-8,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build MaxProp, RMSProp with a decayed maximum in place of the mean square.

    ``v_t = max(decay v_(t-1), |g_t|)``, ``w_t = w_(t-1) - lr g_t / (v_t + eps)``. This is `adamax` without its first
    moment; it has no paper of its own.

    >>> import jax.numpy as jnp
    >>> optimizer, g = maxprop(0.5, decay=0.5), jnp.array([4.0])
    >>> _, state = optimizer.update(g, optimizer.init(g))
    >>> optimizer.update(g / 4, state)[0]
    Array([-0.25], dtype=float32)
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
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build NAdam, Adam with Nesterov's look-ahead (Dozat, 2016), in the form of optax.

    With the moments ``m_t``, ``v_t`` of `adam`: ``w_t = w_(t-1) - lr n_t / (sqrt(v_t / (1 - b2^t) + eps_root) + eps)``,
    ``n_t = b1 m_t / (1 - b1^(t+1)) + (1 - b1) g_t / (1 - b1^t)``. torch's NAdam is `nadam_momentum_decay`.

    >>> import jax.numpy as jnp
    >>> optimizer, g = nadam(0.5, b1=0.5), jnp.array([1.0])
    >>> optimizer.update(g, optimizer.init(g))[0].round(4)
    Array([-0.6667], dtype=float32)
    """
    scaled = look_ahead.scale_by_nadam(b1, b2, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def nadam_simplified(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build NAdam with one bias correction for both terms (Ruder, 2016, section 4.8).

    As `nadam`, but ``n_t = (b1 m_t + (1 - b1) g_t) / (1 - b1^t)``. Its first step is ``1 + b1`` times Adam's.

    >>> import jax.numpy as jnp
    >>> optimizer, g = nadam_simplified(0.5, b1=0.5), jnp.array([1.0])
    >>> optimizer.update(g, optimizer.init(g))[0].round(4)
    Array([-0.75], dtype=float32)
    """
    scaled = look_ahead.scale_by_nadam_simplified(b1, b2, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))


def nadam_momentum_decay(
    learning_rate: ArrayLike | Schedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    eps_root: ArrayLike = 0.0,
    *,
    moment_dtype: DTypeLike | None = None,
) -> GradientTransformation:
    """Build NAdam with a momentum that rises to ``b1`` (Dozat, 2016), in the form of torch.

    As `nadam`, but ``n_t = c_(t+1) m_t / (1 - c_1 ... c_(t+1)) + (1 - c_t) g_t / (1 - c_1 ... c_t)`` with
    ``c_t = b1 (1 - 0.96^(0.004 t) / 2)``.

    >>> import jax.numpy as jnp
    >>> optimizer, g = nadam_momentum_decay(0.5), jnp.array([1.0])
    >>> optimizer.update(g, optimizer.init(g))[0].round(4)
    Array([-0.5282], dtype=float32)
    """
    scaled = look_ahead.scale_by_nadam_momentum_decay(b1, b2, eps, eps_root, moment_dtype=moment_dtype)
    return optax.chain(scaled, scale_by_learning_rate(learning_rate))
