"""Each optimizer against published numbers, optax and torch, in float64."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl.testing import parameterized

from jaxdl import optim

GRADIENTS = [1.0, 0.5, -0.25, 0.1, -0.7]
STEPS = 100
INSIDE = {"eps": 0.0, "eps_root": 1e-8}
GOLDEN = {
    "sgd": (optim.sgd(0.1), 1 - 0.1 * sum(GRADIENTS)),
    "momentum": (optim.momentum(0.1, 0.9), 0.53729),
    "nesterov": (optim.nesterov(0.1, 0.9), 0.518561),
    "adagrad": (optim.adagrad(0.1, eps=1e-8), 0.920399472),
    "adagrad, eps inside": (optim.adagrad(0.1, **INSIDE), 0.920399472),
    "rmsprop": (optim.rmsprop(0.1, 0.9, eps=1e-8), 0.768027049),
    "rmsprop, eps inside": (optim.rmsprop(0.1, 0.9, **INSIDE), 0.768027055),
    "adadelta": (optim.adadelta(1.0, 0.9, eps=1e-6), 0.99822417),
    "adam": (optim.adam(0.1), 0.690916305),
    "adam, eps inside": (optim.adam(0.1, **INSIDE), 0.690916304),
    "maxprop": (optim.maxprop(0.1, 0.9, eps=1e-8), 0.961591221),
    "adamax": (optim.adamax(0.1), 0.754367829),
    "nadam_simplified": (optim.nadam_simplified(0.1), 0.625825248),
    "nadam": (optim.nadam(0.1), 0.71260613),
    "nadam_momentum_decay": (optim.nadam_momentum_decay(0.1), 0.903189592),
}
RATE = 0.03
OF_OPTAX = {
    "sgd": (optim.sgd(RATE), optax.sgd(RATE)),
    "momentum": (optim.momentum(RATE, 0.9), optax.sgd(RATE, 0.9)),
    "nesterov": (optim.nesterov(RATE, 0.9), optax.sgd(RATE, 0.9, nesterov=True)),
    "adagrad": (
        optim.adagrad(RATE, 0.1, eps=0.0, eps_root=1e-7),
        optax.adagrad(RATE, initial_accumulator_value=0.1, eps=1e-7),
    ),
    "adagrad from zero": (optim.adagrad(RATE, eps=0.0, eps_root=1e-7), optax.adagrad(RATE, 0.0, eps=1e-7)),
    "rmsprop": (optim.rmsprop(RATE, 0.9, 1e-6), optax.rmsprop(RATE, 0.9, 1e-6, eps_in_sqrt=False)),
    "rmsprop, eps inside": (optim.rmsprop(RATE, 0.9, 0.0, 1e-6), optax.rmsprop(RATE, 0.9, 1e-6)),
    "adadelta": (optim.adadelta(RATE, 0.9, 1e-6), optax.adadelta(RATE, 0.9, 1e-6)),
    "adam": (optim.adam(RATE), optax.adam(RATE)),
    "adam, eps inside": (optim.adam(RATE, 0.8, 0.95, 0.0, 1e-6), optax.adam(RATE, 0.8, 0.95, 0.0, 1e-6)),
    "adamw": (optim.adamw(RATE, weight_decay=0.1), optax.adamw(RATE, weight_decay=0.1)),
    # optax adds eps to |g| before the maximum, we to the maximum
    "adamax": (optim.adamax(RATE, eps=0.0), optax.adamax(RATE, eps=0.0)),
    "nadam": (optim.nadam(RATE), optax.nadam(RATE)),
    "adam with a schedule": (
        optim.adam(optim.schedules.exponential_decay(RATE, 0.01)),
        optax.adam(lambda step: RATE * jnp.exp(-0.01 * step)),
    ),
    "adam with L2 in the loss": (
        optax.chain(optim.add_decayed_weights(0.1), optim.adam(RATE)),
        optax.chain(optax.add_decayed_weights(0.1), optax.adam(RATE)),
    ),
}
OF_TORCH = {
    "sgd": (optim.sgd(RATE), "SGD", {}),
    "sgd with L2": (optax.chain(optim.add_decayed_weights(0.1), optim.sgd(RATE)), "SGD", {"weight_decay": 0.1}),
    "momentum": (optim.momentum(RATE, 0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (optim.nesterov(RATE, 0.9), "SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": (optim.adagrad(RATE, eps=1e-10), "Adagrad", {}),
    "rmsprop": (optim.rmsprop(RATE, 0.99), "RMSprop", {"alpha": 0.99}),
    "adadelta": (optim.adadelta(RATE, 0.9, 1e-6), "Adadelta", {}),
    "adam": (optim.adam(RATE), "Adam", {}),
    "adam with L2 in the loss": (
        optax.chain(optim.add_decayed_weights(0.1), optim.adam(RATE)),
        "Adam",
        {"weight_decay": 0.1},
    ),
    "adamw": (optim.adamw(RATE, weight_decay=0.1), "AdamW", {"weight_decay": 0.1}),
    "adamax": (optim.adamax(RATE, eps=0.0), "Adamax", {"eps": 0.0}),
    "nadam_momentum_decay": (optim.nadam_momentum_decay(RATE), "NAdam", {}),
}


def random_tree(seed: int, *leading: int) -> dict:
    rng = np.random.default_rng(seed)
    shapes = {"dense": {"kernel": (3, 2), "bias": (2,)}, "scale": ()}
    return jax.tree.map(lambda shape: rng.normal(size=(*leading, *shape)), shapes, is_leaf=lambda x: type(x) is tuple)


@partial(jax.jit, static_argnums=0)
def trajectory(optimizer, params, gradients):
    """Return the parameters after every step."""

    def step(carry, gradient):
        params, state = carry
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        return (params, state), params

    return jax.lax.scan(step, (params, optimizer.init(params)), gradients)[1]


class GoldenTrajectoryTest(chex.TestCase):
    """Five steps from 1, whose end was computed by hand."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters((name, *case) for name, case in GOLDEN.items())
    def test_five_steps_end_at_the_golden_number(self, optimizer, expected):
        with jax.enable_x64(True):
            update, params = self.variant(optimizer.update), jnp.asarray(1.0, jnp.float64)
            state = optimizer.init(params)
            for gradient in GRADIENTS:
                updates, state = update(jnp.asarray(gradient, jnp.float64), state, params)
                params = optax.apply_updates(params, updates)
            chex.assert_type(params, jnp.float64)
            np.testing.assert_allclose(params, expected, rtol=0, atol=2e-9)


@pytest.mark.parametrize("name", OF_OPTAX)
def test_a_hundred_steps_equal_those_of_optax(name, float64):
    ours, theirs = OF_OPTAX[name]
    params, gradients = random_tree(0), random_tree(1, STEPS)
    got, want = (trajectory(optimizer, params, gradients) for optimizer in (ours, theirs))
    chex.assert_trees_all_close(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_hundred_steps_equal_those_of_torch(name, float64):
    torch = pytest.importorskip("torch", reason="parity with torch.optim")
    ours, theirs, arguments = OF_TORCH[name]
    params, gradients = random_tree(0), random_tree(1, STEPS)
    got = jax.tree.leaves(trajectory(ours, params, gradients))
    leaves = [torch.tensor(leaf, requires_grad=True) for leaf in jax.tree.leaves(params)]
    optimizer = getattr(torch.optim, theirs)(leaves, lr=RATE, **arguments)
    tolerance = 1e-7 if theirs == "NAdam" else 1e-9  # torch keeps NAdam's product of decays in float32
    for step in range(STEPS):
        for leaf, gradient in zip(leaves, jax.tree.leaves(gradients), strict=True):
            leaf.grad = torch.tensor(gradient[step])
        optimizer.step()
        for leaf, history in zip(leaves, got, strict=True):
            np.testing.assert_allclose(history[step], leaf.detach().numpy(), rtol=tolerance, atol=1e-2 * tolerance)


def test_nesterov_rewritten_is_nesterov_looking_ahead(float64):
    gradient = jax.jit(jax.grad(lambda w: jnp.sum(jnp.cosh(w["x"])) + w["y"] ** 4))
    params = {"x": jnp.array([1.0, -2.0]), "y": jnp.array(0.5)}
    velocity = jax.tree.map(jnp.zeros_like, params)
    rewritten, optimizer = params, optim.nesterov(0.05, 0.9)
    state = optimizer.init(rewritten)
    for _ in range(20):
        update, state = optimizer.update(gradient(rewritten), state, rewritten)
        rewritten = optax.apply_updates(rewritten, update)
        params, velocity = optim.nesterov_look_ahead(gradient, params, velocity, learning_rate=0.05, decay=0.9)
        ahead = jax.tree.map(lambda w, u: w - 0.05 * 0.9 * u, params, velocity)
        chex.assert_trees_all_close(rewritten, ahead, rtol=1e-12)


def test_momentum_follows_a_schedule_of_its_decay(float64):
    decay = optim.schedules.sutskever_momentum(0.99, every=2)
    optimizer, params, velocity, expected = optim.momentum(0.1, decay), jnp.zeros(()), 0.0, 0.0
    state = optimizer.init(params)
    for step, gradient in enumerate(GRADIENTS):
        update, state = optimizer.update(jnp.asarray(gradient), state)
        params = params + update
        velocity = (1 - 0.5 / (step // 2 + 1)) * velocity + gradient
        expected -= 0.1 * velocity
    np.testing.assert_allclose(params, expected, rtol=1e-12)


def test_bias_correction_in_float32_keeps_its_digits():
    # In float32, 1 - 0.9999^1 has an error of 1e-4 when it is computed as it is written.
    optimizer = optim.adam(1.0, b2=0.9999, eps=0.0)
    update, _ = optimizer.update(jnp.ones(()), optimizer.init(jnp.zeros(())))
    np.testing.assert_allclose(update, -1.0, rtol=3e-7)


def test_a_coordinate_without_gradient_rests_without_eps():
    params = jnp.array([1.0, 2.0])
    for optimizer in (optim.adagrad(0.1, eps=0.0), optim.maxprop(0.1, eps=0.0), optim.adam(0.1, eps=0.0)):
        update, _ = optimizer.update(jnp.array([0.0, 3.0]), optimizer.init(params), params)
        np.testing.assert_allclose(update, [0.0, -0.1], rtol=1e-6)


def test_nan_is_not_hidden():
    for optimizer in (optim.adam(0.1), optim.maxprop(0.1), optim.nadam(0.1)):
        update, _ = optimizer.update(jnp.array(jnp.nan), optimizer.init(jnp.zeros(())))
        assert jnp.isnan(update)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_moments_are_stored_in_the_moment_dtype(dtype):
    params = {"kernel": jnp.ones(2, jnp.bfloat16)}
    for optimizer in (optim.adam(0.1, moment_dtype=dtype), optim.momentum(0.1, moment_dtype=dtype)):
        state = optimizer.init(params)
        update, new_state = optimizer.update(params, state, params)
        assert update["kernel"].dtype == jnp.bfloat16
        assert {leaf.dtype for leaf in jax.tree.leaves(new_state[0]) if leaf.ndim == 1} == {jnp.dtype(dtype)}
        chex.assert_trees_all_equal_shapes_and_dtypes(state, new_state)


def test_corrected_rms_is_adam_without_a_first_moment(float64):
    params, gradients = random_tree(0), random_tree(1, STEPS)
    got = trajectory(optim.scale_by_rms(0.99, bias_correction=True), params, gradients)
    want = trajectory(optim.scale_by_adam(b1=0.0, b2=0.99), params, gradients)
    chex.assert_trees_all_close(got, want, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda: optim.sgd(-0.1), "learning_rate", "-0.1"),
        (lambda: optim.adam(float("nan")), "learning_rate", "nan"),
        (lambda: optim.adam(0.1, b1=1.0), "b1", "1.0"),
        (lambda: optim.adamax(0.1, b2=-0.1), "b2", "-0.1"),
        (lambda: optim.adamw(0.1, eps=-1e-8), "eps", "-1e-08"),
        (lambda: optim.adamw(0.1, weight_decay=-1.0), "weight_decay", "-1.0"),
        (lambda: optim.nadam(0.1, eps_root=-1.0), "eps_root", "-1.0"),
        (lambda: optim.nadam_simplified(0.1, b1=1.5), "b1", "1.5"),
        (lambda: optim.nadam_momentum_decay(0.1, b2=1.0), "b2", "1.0"),
        (lambda: optim.adagrad(0.1, -1.0), "initial_accumulator_value", "-1.0"),
        (lambda: optim.rmsprop(0.1, decay=np.float32(1.5)), "decay", "1.5"),
        (lambda: optim.adadelta(rho=1), "rho", "1"),
        (lambda: optim.adadelta(eps=0.0), "eps", "0.0"),
        (lambda: optim.maxprop(0.1, decay=2), "decay", "2"),
        (lambda: optim.momentum(0.1, decay=1.0), "decay", "1.0"),
    ],
)
def test_a_bad_hyper_parameter_is_named(make, name, value):
    with pytest.raises(ValueError, match=rf"{name} .*got {value}"):
        make()


def test_a_learning_rate_that_is_not_a_number_is_a_type_error():
    with pytest.raises(TypeError, match=r"learning_rate .*got '0\.1'"):
        optim.sgd("0.1")
