"""The learning rate in the state, and its reduction on a plateau, against optax and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim

PARAMS = {"kernel": jnp.ones(2), "bias": jnp.ones(2)}
HALVING = optim.schedules.step_decay(0.8, every=1)
HALVED = [0.8, 0.8, 0.4, 0.2, 0.1]  # before any update, and after each of four
LABELS = {"kernel": "slow", "bias": "fast"}


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (optim.sgd(HALVING), HALVED),
        (optax.chain(optim.clip(1.0), optax.chain(optim.adam(HALVING))), HALVED),
        (optax.MultiSteps(optim.adam(HALVING), 2), [0.8, 0.8, 0.8, 0.8, 0.4]),
        (optax.inject_hyperparams(optim.adam)(HALVING), HALVED),
        (optax.inject_hyperparams(optax.adam)(HALVING), HALVED),
        (optax.multi_transform({"slow": optax.sgd(1.0), "fast": optim.adam(HALVING)}, LABELS), HALVED),
        (optim.masked(optim.sgd(HALVING), "kernel"), HALVED),
        (optax.apply_if_finite(optim.sgd(0.3), 2), [0.3] * 5),
        (optim.scale_by_learning_rate(1, flip_sign=False), [1.0] * 5),
    ],
)
def test_the_rate_of_the_latest_update_is_found(optimizer, expected):
    state = optimizer.init(PARAMS)
    rates = [optim.learning_rate(state)]
    for _ in range(4):
        _, state = optimizer.update(PARAMS, state, PARAMS)
        rates.append(jax.jit(optim.learning_rate)(state))
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_a_state_without_a_rate_gives_none():
    assert optim.learning_rate(optax.adam(0.1).init(PARAMS)) is None
    assert optim.learning_rate(()) is None


def test_the_sign_can_be_kept():
    for flip_sign, expected in ((True, -0.5), (False, 0.5)):
        transform = optim.scale_by_learning_rate(0.5, flip_sign=flip_sign)
        update, _ = transform.update(PARAMS, transform.init(PARAMS))
        np.testing.assert_allclose(update["bias"], expected)


def test_a_donated_state_leaves_the_users_rate_alone():
    rate = jnp.asarray(0.1)
    state = optim.sgd(rate).init(PARAMS)
    jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)(state)
    assert not rate.is_deleted()


def test_the_state_has_the_same_types_before_and_after():
    for rate in (0.1, 1, np.float32(0.1), jnp.asarray(0.1), HALVING, lambda step: 0.1):
        optimizer = optim.sgd(rate)
        state = optimizer.init(PARAMS)
        _, after = optimizer.update(PARAMS, state)
        assert jax.tree.map(jax.typeof, state) == jax.tree.map(jax.typeof, after)


def scales(transform, losses):
    def step(state, loss):
        _, state = transform.update(PARAMS, state, PARAMS, value=loss)
        return state, state.scale

    return jax.lax.scan(step, transform.init(PARAMS), jnp.asarray(losses))[1]


def wandering_losses(seed, steps=60):
    rng = np.random.default_rng(seed)
    return np.exp(-0.05 * np.arange(steps)) + 0.3 * rng.random(steps)


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 3},
        {"patience": 1, "cooldown": 4, "factor": 0.3},
        {"patience": 2, "accumulation_size": 3, "rtol": 0.05},
        {"patience": 1, "atol": 0.01, "rtol": 1e-6, "min_scale": 0.2},
    ],
)
def test_the_plateau_of_optax_is_ours(arguments, float64):
    for seed in range(3):
        losses = wandering_losses(seed)
        got = scales(optim.reduce_on_plateau(**arguments), losses)
        want = scales(optax.contrib.reduce_on_plateau(**{"factor": 0.5} | arguments), losses)
        assert want[-1] < 1
        np.testing.assert_allclose(got, want, rtol=1e-6)  # optax keeps the scale in the parameters' dtype


@pytest.mark.parametrize("cooldown", [0, 3])
def test_the_plateau_of_torch_waits_one_more(cooldown, float64):
    torch = pytest.importorskip("torch", reason="parity with torch.optim.lr_scheduler")
    losses = wandering_losses(7)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, cooldown=cooldown)
    want = []
    for loss in losses:
        scheduler.step(loss)
        want.append(optimizer.param_groups[0]["lr"])
    got = scales(optim.reduce_on_plateau(0.5, patience=3, cooldown=cooldown), losses)
    assert want[-1] < 0.2
    np.testing.assert_allclose(got, want)


def test_the_rate_is_halved_when_the_error_is_more_than_before():
    transform = optim.reduce_on_increase()
    losses = [5.0, 4.0, 4.5, 4.2, 4.2, 4.3, 1.0]
    np.testing.assert_allclose(scales(transform, losses), [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25])


def test_nan_is_no_improvement():
    for transform in (optim.reduce_on_plateau(patience=1), optim.reduce_on_increase()):
        np.testing.assert_allclose(scales(transform, [1.0, np.nan, 0.5, 0.7]), [1, 0.5, 0.5, 0.25])


def test_a_plateau_scales_the_updates_and_the_rate_that_is_found():
    optimizer = optax.chain(optim.sgd(0.8), optim.reduce_on_plateau(patience=1))
    state = optimizer.init(PARAMS)
    for loss, rate in ((1.0, 0.8), (2.0, 0.4), (2.0, 0.2)):
        update, state = optimizer.update(PARAMS, state, PARAMS, value=loss)
        np.testing.assert_allclose(update["bias"], -rate, rtol=1e-6)
        np.testing.assert_allclose(optim.learning_rate(state), rate, rtol=1e-6)


def test_each_group_has_its_own_plateau():
    fast = optax.chain(optim.sgd(0.8), optim.reduce_on_plateau(patience=1))
    optimizer = optax.multi_transform({"fast": fast, "slow": optim.sgd(0.5)}, {"kernel": "slow", "bias": "fast"})
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, value=jnp.nan)
    np.testing.assert_allclose(optim.learning_rate(state), 0.4, rtol=1e-6)
    optimizer = optax.multi_transform({"a": optim.sgd(0.5), "b": fast}, {"kernel": "a", "bias": "b"})
    _, state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS, value=jnp.nan)
    np.testing.assert_allclose(optim.learning_rate(state), 0.5, rtol=1e-6)


def test_an_update_without_the_loss_is_an_error():
    for name in ("reduce_on_plateau", "reduce_on_increase"):
        transform = getattr(optim, name)()
        with pytest.raises(ValueError, match=f"{name}, got None"):
            transform.update(PARAMS, transform.init(PARAMS), PARAMS)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (optim.reduce_on_plateau, "factor", 1.0),
        (optim.reduce_on_plateau, "patience", 0),
        (optim.reduce_on_plateau, "rtol", -0.1),
        (optim.reduce_on_plateau, "atol", -0.1),
        (optim.reduce_on_plateau, "cooldown", -1),
        (optim.reduce_on_plateau, "min_scale", 2.0),
        (optim.reduce_on_increase, "factor", 0.0),
        (optim.reduce_on_increase, "accumulation_size", 1.5),
    ],
)
def test_a_bad_argument_is_named(make, name, value):
    with pytest.raises(ValueError, match=f"{name}.*got {value}"):
        make(**{name: value})


@pytest.mark.parametrize("offset", [0.0, -0.5, -5.0])
def test_a_plateau_of_losses_of_any_sign_reduces(offset):
    transform = optim.reduce_on_plateau(patience=2, rtol=0.1)
    constant = jnp.full(7, offset)
    np.testing.assert_allclose(scales(transform, constant), [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125])
    falling = offset - 1.0 * np.arange(4)
    np.testing.assert_allclose(scales(transform, falling), np.ones(4))
