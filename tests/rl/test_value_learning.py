"""Returns, errors of value learning and losses of policies: equal to rlax, and to loops of NumPy, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import rl
from tests import peers

STEPS, ACTIONS, TRAJECTORIES = 6, 3, 4


def draw(seed=0):
    """Draw trajectories ``[TRAJECTORIES, STEPS, ...]`` in which episodes end."""
    random = np.random.default_rng(seed)
    shape = (TRAJECTORIES, STEPS)
    return {
        "r": random.normal(size=shape),
        "d": 0.9 * (random.random(shape) > 0.2),
        "v": random.normal(size=(TRAJECTORIES, STEPS + 1)),
        "mix": random.random(shape),
        "q": random.normal(size=(TRAJECTORIES, STEPS + 1, ACTIONS)),
        "other": random.normal(size=(TRAJECTORIES, STEPS + 1, ACTIONS)),
        "p": random.dirichlet(np.ones(ACTIONS), size=shape),
        "a": random.integers(0, ACTIONS, (TRAJECTORIES, STEPS + 1)),
        "ratio": random.uniform(0.5, 1.5, shape),
        "mask": (np.arange(STEPS) < 4).astype(float) * np.ones(shape),
    }


def alike(library):
    """Map trajectories to what has the same name and arguments in ours and rlax."""
    return {
        "discounted": lambda r, d, v, **_: library.discounted_returns(r, d, v[-1]),
        "lambda": lambda r, d, v, **_: library.lambda_returns(r, d, v[1:], 0.7),
        "lambdas": lambda r, d, v, mix, **_: library.lambda_returns(r, d, v[1:], mix),
        "td": lambda r, d, v, **_: jax.vmap(library.td_learning)(v[:-1], r, d, v[1:]),
        "td_lambda": lambda r, d, v, **_: library.td_lambda(v[:-1], r, d, v[1:], 0.7),
        "sarsa": lambda q, a, r, d, **_: jax.vmap(library.sarsa)(q[:-1], a[:-1], r, d, q[1:], a[1:]),
        "expected_sarsa": lambda q, a, r, d, p, **_: jax.vmap(library.expected_sarsa)(q[:-1], a[:-1], r, d, q[1:], p),
        "q": lambda q, a, r, d, **_: jax.vmap(library.q_learning)(q[:-1], a[:-1], r, d, q[1:]),
        "double_q": lambda q, a, r, d, other, **_: jax.vmap(library.double_q_learning)(
            q[:-1], a[:-1], r, d, q[1:], other[1:]
        ),
        "q_lambda": lambda q, a, r, d, **_: library.q_lambda(q[:-1], a[:-1], r, d, q[1:], 0.7),
    }


OURS = {
    **alike(rl),
    "2 steps": lambda r, d, v, **_: rl.n_step_returns(r, d, v[1:], 2),
    "9 steps": lambda r, d, v, **_: rl.n_step_returns(r, d, v[1:], 9),
    "advantages": lambda r, d, v, **_: rl.generalized_advantages(r, d, v, 0.7),
    "policy_gradient": lambda q, a, r, **_: rl.policy_gradient_loss(q[:-1], a[:-1], r),
    "masked": lambda q, a, r, mask, **_: rl.policy_gradient_loss(q[:-1], a[:-1], r, mask),
    "entropy": lambda q, **_: jnp.mean(rl.entropy(q[:-1])),
    "surrogate": lambda ratio, r, **_: rl.clipped_surrogate_loss(ratio, r, 0.2),
    "greedy": lambda q, **_: rl.epsilon_greedy_probabilities(q[:-1], 0.3),
}


def of_rlax(rlax, distrax):
    """Return the same functions of rlax and distrax."""
    w = jnp.ones(STEPS)
    return {
        **alike(rlax),
        "2 steps": lambda r, d, v, **_: rlax.n_step_bootstrapped_returns(r, d, v[1:], 2),
        "9 steps": lambda r, d, v, **_: rlax.n_step_bootstrapped_returns(r, d, v[1:], 9),
        "advantages": lambda r, d, v, **_: rlax.truncated_generalized_advantage_estimation(r, d, 0.7, v),
        "policy_gradient": lambda q, a, r, **_: rlax.policy_gradient_loss(q[:-1], a[:-1], r, w),
        "masked": lambda q, a, r, mask, **_: rlax.policy_gradient_loss(q[:-1], a[:-1], r, mask) * STEPS / jnp.sum(mask),
        "entropy": lambda q, **_: -rlax.entropy_loss(q[:-1], w),
        "surrogate": lambda ratio, r, **_: rlax.clipped_surrogate_pg_loss(ratio, r, 0.2),
        "greedy": lambda q, **_: distrax.EpsilonGreedy(q[:-1], 0.3).probs,
    }


FOLLOWED = {
    "r d v": ["discounted", "lambda", "2 steps", "9 steps", "advantages"],
    "r d v mix": ["lambdas"],
    "v": ["td", "td_lambda"],
    "q": ["sarsa", "expected_sarsa", "q", "double_q", "q_lambda", "policy_gradient", "masked", "entropy"],
    "ratio": ["surrogate"],
    "": ["greedy"],
}
"""Arguments, and the results whose gradient depends on them alone: targets and advantages of losses are constants."""


@pytest.mark.filterwarnings("ignore:Rlax:PendingDeprecationWarning")
@pytest.mark.usefixtures("float64")
def test_values_and_gradients_are_those_of_rlax():
    rlax = peers.rlax()
    distrax = pytest.importorskip("distrax", reason="parity with distrax")
    x, libraries = draw(), {"ours": OURS, "rlax": of_rlax(rlax, distrax)}
    whole = {name: x.pop(name) for name in ("a", "mask")}  # not differentiated

    def both(x, whole):
        found = {}
        for library, functions in libraries.items():

            def total(copies, functions=functions):
                values = {name: f(**copies[name], **whole) for name, f in functions.items()}
                return sum(jnp.sum(jnp.sin(value)) for value in values.values()), values

            # A copy of the arguments for each result: one backward pass gives the gradient of each.
            (_, values), gradients = jax.value_and_grad(total, has_aux=True)(dict.fromkeys(functions, x))
            found[library] = values, gradients
        return found

    found = jax.device_get(jax.jit(jax.vmap(both))(x, whole))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13), found["ours"], found["rlax"])
    _, gradients = found["ours"]
    followed = {loss: " ".join(name for name in x if np.any(of[name])) for loss, of in gradients.items()}
    assert followed == {loss: names for names, losses in FOLLOWED.items() for loss in losses}


@pytest.mark.usefixtures("float64")
def test_values_are_those_of_loops():
    x = draw(1)
    run = jax.jit(jax.vmap(lambda x: {name: f(**x) for name, f in OURS.items()}))
    found = jax.device_get(run(x))
    r, d, v, q, other, a = (x[name] for name in ("r", "d", "v", "q", "other", "a"))
    for i in range(TRAJECTORIES):

        def lambda_return(t, values, mix, i=i):
            if t == STEPS:
                return values[-1]
            return r[i, t] + d[i, t] * ((1 - mix[t]) * values[t] + mix[t] * lambda_return(t + 1, values, mix))

        def n_step(t, n, i=i):
            if n == 0 or t == STEPS:
                return v[i, t]
            return r[i, t] + d[i, t] * n_step(t + 1, n - 1)

        taken = q[i, np.arange(STEPS), a[i, :-1]]
        expected = {
            "discounted": [lambda_return(t, v[i, 1:], np.ones(STEPS)) for t in range(STEPS)],
            "lambda": [lambda_return(t, v[i, 1:], np.full(STEPS, 0.7)) for t in range(STEPS)],
            "lambdas": [lambda_return(t, v[i, 1:], x["mix"][i]) for t in range(STEPS)],
            "2 steps": [n_step(t, 2) for t in range(STEPS)],
            "9 steps": [n_step(t, 9) for t in range(STEPS)],
            "q": r[i] + d[i] * q[i, 1:].max(axis=1) - taken,
            "double_q": r[i] + d[i] * q[i, np.arange(1, STEPS + 1), other[i, 1:].argmax(axis=1)] - taken,
            "expected_sarsa": r[i] + d[i] * (x["p"][i] * q[i, 1:]).sum(axis=1) - taken,
            "sarsa": r[i] + d[i] * q[i, np.arange(1, STEPS + 1), a[i, 1:]] - taken,
            "td": r[i] + d[i] * v[i, 1:] - v[i, :-1],
        }
        expected["td_lambda"] = expected["lambda"] - v[i, :-1]
        expected["advantages"] = expected["td_lambda"]
        best = [lambda_return(t, q[i, 1:].max(axis=1), np.full(STEPS, 0.7)) for t in range(STEPS)]
        expected["q_lambda"] = best - taken
        log_p = taken - np.log(np.exp(q[i, :-1]).sum(axis=1))
        expected["policy_gradient"] = -np.mean(log_p * r[i])
        expected["masked"] = -np.mean((log_p * r[i])[:4])
        clipped = np.clip(x["ratio"][i], 0.8, 1.2)
        expected["surrogate"] = -np.mean(np.minimum(x["ratio"][i] * r[i], clipped * r[i]))
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][i], values, rtol=1e-12, atol=1e-13, err_msg=name)


def test_epsilon_greedy_draws_its_probabilities():
    q = jnp.array([1.0, 3.0, 3.0])
    draws = jax.jit(jax.vmap(lambda key: rl.epsilon_greedy(key, q, 0.3)))(jax.random.split(jax.random.key(0), 20_000))
    shares = np.bincount(np.asarray(draws), minlength=3) / len(draws)
    np.testing.assert_allclose(shares, rl.epsilon_greedy_probabilities(q, 0.3), atol=0.01)


def test_entropy_of_excluded_actions_and_its_gradient_are_finite():
    logits = jnp.array([0.0, 0.0, -jnp.inf])
    value, gradient = jax.value_and_grad(rl.entropy)(logits)
    assert value == pytest.approx(np.log(2))
    assert np.isfinite(gradient).all()


def test_integers_and_halves_are_computed_in_float32():
    assert rl.discounted_returns(np.array([1, 2]), np.array([1, 0])).tolist() == [3, 2]
    half = jnp.ones(2, jnp.bfloat16)
    assert rl.lambda_returns(half, half, half, 0.5).dtype == jnp.float32
    with jax.enable_x64(True):  # a number of Python does not widen what is narrower
        single = np.ones(2, np.float32)
        assert rl.lambda_returns(single, single, single, 0.5).dtype == jnp.float32


def test_dueling_is_identified_by_its_mean():
    random = np.random.default_rng(0)
    value, advantages = random.normal(size=(4, 1)), random.normal(size=(4, 3))
    q = rl.dueling(value, advantages)
    np.testing.assert_allclose(np.mean(q, axis=1), value[:, 0], rtol=1e-5)
    np.testing.assert_allclose(rl.dueling(value, advantages + 5), q, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: rl.discounted_returns([1.0], [1.0, 1.0]), r"\(2,\)"),
        (lambda: rl.discounted_returns([], []), r"\(0,\)"),
        (lambda: rl.discounted_returns([1.0], [1.0], [1.0]), r"got \(1,\)"),
        (lambda: rl.lambda_returns([1.0], [1.0], [1.0], 1.5), "got 1.5"),
        (lambda: rl.lambda_returns([1.0], [1.0], [1.0], np.array([0.5, 0.5])), r"got \(2,\)"),
        (lambda: rl.n_step_returns([1.0], [1.0], [1.0], 0), "got 0"),
        (lambda: rl.generalized_advantages([1.0], [1.0], [1.0], 0.5), r"got \(1,\)"),
        (lambda: rl.q_learning([[1.0]], 0, 1.0, 1.0, [1.0]), r"got \(1,\)"),
        (lambda: rl.q_learning([1.0, 2.0], 2, 1.0, 1.0, [1.0, 2.0]), "got 2"),
        (lambda: rl.q_learning([1.0, 2.0], [0], 1.0, 1.0, [1.0, 2.0]), r"got \(1,\)"),
        (lambda: rl.td_learning([1.0], 0.0, 0.0, 0.0), r"got \(1,\)"),
        (lambda: rl.policy_gradient_loss(np.zeros((2, 3)), np.array([0, 3]), np.ones(2)), "got 3"),
        (lambda: rl.policy_gradient_loss(np.zeros((2, 3)), np.array([0]), np.ones(2)), r"got \(1,\)"),
        (lambda: rl.epsilon_greedy(None, np.zeros(2), 1.1), "got 1.1"),
        (lambda: rl.epsilon_greedy_probabilities(np.zeros((2, 0)), 0.1), r"got shape \(2, 0\)"),
        (lambda: rl.clipped_surrogate_loss(np.ones(2), np.ones(2), 0.0), "got 0.0"),
        (lambda: rl.dueling(np.ones(3), np.ones(3)), r"got \(3,\)"),
        (lambda: rl.follow_slowly(0.0), "got 0.0"),
        (lambda: rl.copy_every(0), "got 0"),
        (lambda: rl.EmptyBatches(0), "got 0"),
    ],
)
def test_bad_arguments_are_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_target_networks_are_those_of_optax():
    import optax

    old, new = {"w": np.arange(3.0, dtype=np.float32)}, {"w": np.ones(3, np.float32)}
    followed = rl.follow_slowly(0.1)(old, new, jnp.array(3))
    np.testing.assert_allclose(followed["w"], optax.incremental_update(new, old, 0.1)["w"], rtol=1e-6)
    for step in (3, 4):
        copied = rl.copy_every(2)(old, new, jnp.array(step))
        np.testing.assert_array_equal(copied["w"], optax.periodic_update(new, old, jnp.array(step), 2)["w"])


def test_a_selector_of_nan_chooses_no_value():
    error = rl.double_q_learning([1.0, 0.0], 0, 1.0, 0.5, next_q=[2.0, 4.0], selector=[1.0, np.nan])
    assert np.isnan(error)


def test_actions_in_a_list_are_checked():
    with pytest.raises(ValueError, match=r"actions in 0 \.\. 1, got 2"):
        rl.policy_gradient_loss(np.zeros((2, 2)), [0, 2], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"actions in 0 \.\. 1, got -1"):
        rl.q_lambda(np.zeros((1, 2)), [-1], [1.0], [0.5], np.zeros((1, 2)), 0.5)
