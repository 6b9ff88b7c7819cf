"""Schedules against optax, torch and worked values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.optim import schedules

STEPS = np.arange(60)
EVERY = {
    "constant": schedules.constant(0.3),
    "linear": schedules.linear(0.0, 1.0, 20),
    "step_decay": schedules.step_decay(0.8, every=5),
    "exponential_decay": schedules.exponential_decay(0.8, 0.1),
    "inverse_time_decay": schedules.inverse_time_decay(0.8, 0.1),
    "sutskever_momentum": schedules.sutskever_momentum(0.9, every=10),
    "triangular": schedules.triangular(0.1, 0.9, 7),
    "cosine_decay": schedules.cosine_decay(0.8, 40, 0.1),
    "cosine_restarts": schedules.cosine_restarts(0.8, 9, 0.1),
    "cosine_restarts_inclusive growing": schedules.cosine_restarts_inclusive(0.8, 5, 0.1, multiplier=3),
    "piecewise_constant": schedules.piecewise_constant([1.0, 0.5, 0.2], [10, 30]),
    "join": schedules.join([schedules.constant(0.1), schedules.linear(0.1, 1.0, 5)], [10]),
    "warmup": schedules.warmup(schedules.cosine_decay(0.8, 40), 10),
}
OF_OPTAX = {
    "linear": optax.linear_schedule(0.0, 1.0, 20),
    "step_decay": optax.exponential_decay(0.8, 5, 0.5, staircase=True),
    "exponential_decay": optax.exponential_decay(0.8, 1, float(np.exp(-0.1))),
    "cosine_decay": optax.cosine_decay_schedule(0.8, 40, alpha=0.1 / 0.8),
    "piecewise_constant": optax.piecewise_constant_schedule(1.0, {10: 0.5, 30: 0.4}),
    "join": optax.join_schedules([optax.constant_schedule(0.1), optax.linear_schedule(0.1, 1.0, 5)], [10]),
    "warmup": optax.warmup_cosine_decay_schedule(0.0, 0.8, 10, 50),
}
OF_TORCH = {
    "step_decay": ("StepLR", {"step_size": 5, "gamma": 0.5}, 0.8),
    "exponential_decay": ("ExponentialLR", {"gamma": float(np.exp(-0.1))}, 0.8),
    "triangular": ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.9, "step_size_up": 7, "cycle_momentum": False}, 0.1),
    "cosine_restarts": ("CosineAnnealingWarmRestarts", {"T_0": 9, "eta_min": 0.1}, 0.8),
}


@pytest.mark.parametrize("name", OF_OPTAX)
def test_a_schedule_equals_that_of_optax(name, float64):
    ours, theirs = jax.jit(lambda steps: (EVERY[name](steps), jax.vmap(OF_OPTAX[name])(steps)))(STEPS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", OF_TORCH)
def test_a_schedule_equals_that_of_torch(name, float64):
    torch = pytest.importorskip("torch", reason="parity with torch.optim.lr_scheduler")
    theirs, arguments, initial = OF_TORCH[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=initial)
    scheduler = getattr(torch.optim.lr_scheduler, theirs)(optimizer, **arguments)
    expected = []
    for _ in STEPS:
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(jax.jit(EVERY[name])(STEPS), expected, rtol=1e-12)


def test_growing_restarts_equal_those_of_torch(float64):
    torch = pytest.importorskip("torch", reason="parity with torch.optim.lr_scheduler")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, T_mult=2, eta_min=0.1)
    expected = []
    for _ in STEPS:
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    got = jax.jit(schedules.cosine_restarts(0.8, 3, 0.1, multiplier=2))(STEPS)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_a_schedule_takes_numbers_arrays_and_traced_steps(name):
    schedule = EVERY[name]
    together = schedule(jnp.asarray(STEPS))
    assert together.shape == STEPS.shape
    assert together.dtype == jnp.float32
    numbers = np.asarray(together)
    assert np.all((numbers >= 0) & (numbers <= 1))
    mapped = jax.jit(jax.vmap(schedule))(jnp.asarray(STEPS))
    np.testing.assert_allclose(mapped, together, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(float(schedule(13)), numbers[13], rtol=1e-6)


def test_worked_values(float64):
    halves = schedules.step_decay(0.1, every=5)([0, 4, 5, 9, 10])
    np.testing.assert_allclose(halves, [0.1, 0.1, 0.05, 0.05, 0.025])
    np.testing.assert_allclose(schedules.exponential_decay(2.0, 0.5)(4), 2 * np.exp(-2))
    np.testing.assert_allclose(schedules.inverse_time_decay(2.0, 0.5)([0, 2, 6]), [2, 1, 0.5])
    momentum = schedules.sutskever_momentum(0.99)([0, 249, 250, 500, 750, 12_249, 12_250, 10**6])
    np.testing.assert_allclose(momentum, [0.5, 0.5, 0.75, 1 - 1 / 6, 0.875, 1 - 1 / 98, 0.99, 0.99])
    literal = [min(1 - 2 ** (-1 - np.log2(t // 250 + 1)), 0.995) for t in range(0, 5000, 125)]
    np.testing.assert_allclose(schedules.sutskever_momentum(0.995)(np.arange(0, 5000, 125)), literal)


def test_inclusive_restarts_reach_both_ends(float64):
    t = np.arange(25)
    got, exclusive = jax.jit(
        lambda t: (schedules.cosine_restarts_inclusive(0.9, 5, 0.1)(t), schedules.cosine_restarts(0.9, 5, 0.1)(t))
    )(t)
    np.testing.assert_allclose(got, 0.1 + 0.4 * (1 + np.cos(np.pi * (t % 6) / 5)))
    np.testing.assert_allclose(np.asarray(got)[[0, 5, 6, 11]], [0.9, 0.1, 0.9, 0.1])
    exclusive = np.asarray(exclusive)
    assert exclusive.min() > 0.17
    np.testing.assert_allclose(exclusive[::5], 0.9)


def test_inclusive_restarts_grow(float64):
    got = jax.jit(schedules.cosine_restarts_inclusive(1.0, 2, multiplier=2))(np.arange(9))
    np.testing.assert_allclose(got, [1, 0.5, 0, *(0.5 * (1 + np.cos(np.pi * np.arange(5) / 4))), 1], atol=1e-15)


def test_late_steps_stay_on_schedule():
    late = np.int32(2**31 - 1)
    rates = jax.jit(lambda step: {name: schedule(step) for name, schedule in EVERY.items()})(late)
    for name, rate in rates.items():
        assert np.isfinite(rate), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.constant(-1.0), r"value.*got -1\.0"),
        (lambda: schedules.linear(0.0, 1.0, 0), "steps.*got 0"),
        (lambda: schedules.step_decay(0.1, every=0), "every.*got 0"),
        (lambda: schedules.exponential_decay(0.1, -1.0), r"rate.*got -1\.0"),
        (lambda: schedules.sutskever_momentum(1.0), r"maximum.*got 1\.0"),
        (lambda: schedules.triangular(0.2, 0.1, 5), r"minimum.*got 0\.2 and 0\.1"),
        (lambda: schedules.triangular(0.1, 0.2, -5), "half_period.*got -5"),
        (lambda: schedules.cosine_decay(0.1, 2.5), r"steps.*got 2\.5"),
        (lambda: schedules.cosine_restarts(0.1, -3), "period.*got -3"),
        (lambda: schedules.cosine_restarts_inclusive(0.1, 3, multiplier=0), "multiplier.*got 0"),
        (lambda: schedules.piecewise_constant([0.1], []), r"1 values.*got.*\[\]"),
        (lambda: schedules.piecewise_constant([0.1, 0.2], [5, 6]), r"2 values.*got.*\[5, 6\]"),
        (lambda: schedules.piecewise_constant([3, 2, 1], [5, 5]), r"boundaries.*got \[5, 5\]"),
        (lambda: schedules.join([EVERY["linear"]] * 3, [9, 4]), r"boundaries.*got \[9, 4\]"),
        (lambda: schedules.warmup(EVERY["linear"], 0), "steps.*got 0"),
    ],
)
def test_a_bad_argument_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
