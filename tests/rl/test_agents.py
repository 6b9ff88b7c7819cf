"""Replay, n-step transitions and the two agents: against plain loops, and resumed bit for bit."""

from collections import deque
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, optim, rl, train
from jaxdl.rl import environments


def rows(*numbers):
    return {
        "x": jnp.array(numbers, jnp.float32),
        "image": jnp.array(numbers, jnp.uint8)[:, None] * jnp.ones((1, 2), jnp.uint8),
    }


@pytest.mark.parametrize("make", [rl.uniform_replay, rl.prioritized_replay])
def test_a_buffer_keeps_the_newest_rows(make):
    buffer = make(5)
    state = buffer.init({"x": np.float32(0), "image": np.zeros(2, np.uint8)})
    add, kept, number = jax.jit(buffer.add), deque(maxlen=5), 0
    for count in (2, 2, 3, 2, 3):
        numbers = list(range(number, number + count))
        number += count
        state, _ = add(state, rows(*numbers)), kept.extend(numbers)
        replay = state if make is rl.uniform_replay else state.replay
        assert int(replay.size) == len(kept)
        assert sorted(replay.transitions["x"].tolist())[5 - len(kept) :] == list(kept)
        sampled = jax.device_get(jax.jit(buffer.sample, static_argnums=2)(state, jax.random.key(number), 64))
        assert set(sampled["x"]) == set(kept)
        np.testing.assert_array_equal(sampled["image"][:, 1], sampled["x"])
        np.testing.assert_array_equal(replay.transitions["x"][sampled["index"]], sampled["x"])
        np.testing.assert_allclose(sampled["weight"], 1)
    assert replay.transitions["image"].dtype == jnp.uint8
    with pytest.raises(ValueError, match="got 6"):
        buffer.add(state, rows(*range(6)))
    with pytest.raises(ValueError, match=r"got \{'x': \(2,\)"):
        buffer.add(state, {**rows(1), "x": jnp.ones((1, 2))})


def test_rows_are_drawn_in_proportion_to_their_errors():
    buffer = rl.prioritized_replay(8, exponent=0.5, correction=0.7, floor=0.01)
    state = buffer.add(buffer.init({"x": jnp.zeros(())}), {"x": jnp.arange(6.0)})
    errors = np.array([0.0, -1.0, 4.0, 0.25, 2.0, 1.0], np.float32)
    state = buffer.prioritize(state, jnp.arange(6), errors)
    sample = jax.device_get(jax.jit(buffer.sample, static_argnums=2)(state, jax.random.key(0), 20_000))
    p = (np.abs(errors) + 0.01) ** 0.5
    p /= p.sum()
    np.testing.assert_allclose(np.bincount(sample["index"], minlength=6) / 20_000, p, atol=1e-4)  # one of each part
    expected = (6 * p) ** -0.7
    np.testing.assert_allclose(sample["weight"], (expected / expected.max())[sample["index"]], rtol=1e-5)
    state = buffer.add(state, {"x": jnp.array([7.0])})
    assert float(state.priorities[6]) == pytest.approx(4.01**0.5)


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 50_000])
def test_rows_without_priority_are_never_drawn(size):
    random = np.random.default_rng(size)
    priorities = random.random(size).astype(np.float32) * (random.random(size) < 0.3)
    priorities[size // 2] = 1.0
    index = np.asarray(jax.jit(rl.sample_proportionally, static_argnums=2)(jax.random.key(0), priorities, 5000))
    assert (priorities[index] > 0).all()
    assert (np.diff(index) >= 0).all()
    # The draw is the inverse of the cumulative distribution, within one part.
    heights = (np.arange(5000) + 0.5) / 5000
    ends = np.cumsum(priorities.astype(np.float64)) / priorities.sum(dtype=np.float64)
    begins = np.concatenate([[0], ends[:-1]])
    assert (ends[index] > heights - 6e-4).all()
    assert (begins[index] < heights + 6e-4).all()


@pytest.mark.parametrize("n", [1, 3, 20])
def test_n_steps_are_joined_as_by_a_loop(n):
    random = np.random.default_rng(n)
    steps, discount = 12, 0.9
    terminated = random.random(steps) < 0.15
    experience = {
        "observation": np.arange(steps),
        "action": random.integers(0, 2, steps),
        "reward": random.normal(size=steps).astype(np.float32),
        "terminated": terminated,
        "truncated": (random.random(steps) < 0.15) & ~terminated,
        "next_observation": 100 + np.arange(steps),
    }
    found = jax.device_get(jax.jit(rl.n_step_transitions, static_argnums=1)(experience, n, discount))
    for t in range(steps):
        reward, factor = 0.0, 1.0
        for k in range(t, min(t + n, steps)):
            reward += factor * experience["reward"][k]
            factor *= discount * (not terminated[k])
            if terminated[k] or experience["truncated"][k]:
                break
        assert found["reward"][t] == pytest.approx(reward, rel=1e-5, abs=1e-6)
        assert found["discount"][t] == pytest.approx(factor, rel=1e-5)
        assert found["next_observation"][t] == 100 + k
    np.testing.assert_array_equal(found["observation"], experience["observation"])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("double", "delta"), [(False, 1.0), (True, 1.5)])
def test_the_loss_and_its_gradient_are_those_by_hand(double, delta):
    random = np.random.default_rng(0)
    w, u = random.normal(size=(2, 3, 2))
    batch = {
        "observation": random.normal(size=(5, 3)),
        "action": random.integers(0, 2, 5),
        "reward": 2 * random.normal(size=5),
        "discount": 0.9 * (np.arange(5) > 0),
        "next_observation": random.normal(size=(5, 3)),
        "weight": random.random(5),
    }

    def apply(variables, x):
        return x @ variables["params"]["w"]

    make = rl.double_deep_q_loss if double else rl.deep_q_loss
    variables = {"params": {"w": w}, "target": {"w": u}}
    (loss, (collections, metrics)), gradient = jax.jit(jax.value_and_grad(make(apply, delta=delta), has_aux=True))(
        variables, batch, None
    )
    own, target = batch["next_observation"] @ w, batch["next_observation"] @ u
    chosen = own.argmax(axis=1) if double else target.argmax(axis=1)
    places = np.arange(5)
    errors = batch["reward"] + batch["discount"] * target[places, chosen]
    errors -= (batch["observation"] @ w)[places, batch["action"]]
    np.testing.assert_allclose(metrics["errors"], errors, rtol=1e-12)
    size = np.abs(errors)
    huber = np.where(size < delta, errors**2 / 2, delta * (size - delta / 2))
    assert size.max() > delta > size.min()
    assert loss == pytest.approx(np.mean(batch["weight"] * huber))
    slope = -batch["weight"] * np.clip(errors, -delta, delta) / 5
    expected = np.zeros((3, 2))
    for i in range(5):
        expected[:, batch["action"][i]] += slope[i] * batch["observation"][i]
    np.testing.assert_allclose(gradient["params"]["w"], expected, rtol=1e-12)
    assert not np.any(gradient["target"]["w"])
    np.testing.assert_array_equal(collections["target"]["w"], u)


def make_agent(buffer):
    """Make a small agent for CartPole and its initial states of two seeds."""
    model = models.MLP((4,), num_classes=2)
    optimizer = optim.adam(1e-2)
    agent = rl.DeepQ(
        environment=environments.auto_reset(environments.cart_pole(max_steps=6)),
        apply=model.apply,
        update=train.make_step(rl.double_deep_q_loss(model.apply), optimizer, average=0.9),
        buffer=buffer,
        epsilon=optim.schedules.linear(1.0, 0.1, 4),
        update_target=rl.copy_every(2),
        environments=2,
        segment=3,
        n=2,
        batch_size=4,
    )

    def start(key):
        params = model.init(key, jnp.zeros((1, 4)))["params"]
        learner = train.TrainState.create({"params": params, "target": params}, optimizer, key)
        return agent.init(learner, key, frames=6)

    return agent, jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), 2))


def test_a_run_resumes_bit_for_bit_with_its_replay(tmp_path):
    agent, states = make_agent(rl.prioritized_replay(10))
    step = jax.vmap(agent.step, in_axes=(0, None))
    copy = partial(jax.tree.map, jnp.copy)
    raw = partial(jax.tree.map, lambda leaf: jax.random.key_data(leaf) if train.leaves.is_key(leaf) else leaf)
    seen = [jax.device_get(raw(states))]

    def go(states, steps, hooks=()):
        return train.fit(step, states, rl.EmptyBatches(2), steps=steps, report_every=1, scan=False, hooks=hooks)

    through, history = go(copy(states), 4, [lambda report: seen.append(jax.device_get(raw(report.state)))])
    checkpoints = train.Checkpoints(tmp_path / "checkpoints", config={})
    go(copy(states), 2, [train.SaveEvery(checkpoints)])
    restored = checkpoints.restore(states)
    assert restored.step.tolist() == [2, 2]
    resumed, _ = go(restored, 4)
    jax.tree.map(np.testing.assert_array_equal, raw(resumed), raw(through))

    assert "train/errors" not in history[0]
    np.testing.assert_allclose([row["train/epsilon"][0] for row in history], [1, 0.775, 0.55, 0.325], rtol=1e-6)
    # The target network is copied after the steps 2 and 4, and stays between.
    for number, equal in enumerate((0, 0, 2, 2, 4)):
        target = seen[number].learner.collections["target"]
        jax.tree.map(np.testing.assert_array_equal, target, seen[equal].params)
    kept = resumed.replay.replay
    assert kept.size.tolist() == [10, 10]
    assert not np.array_equal(*kept.transitions["observation"])  # the seeds differ
    with pytest.raises(ValueError, match="got 0"):
        rl.DeepQ(**{**vars(agent), "segment": 0})


def test_returns_of_reinforce_end_with_the_episode_or_the_value():
    played = []

    def update(learner, rows):
        played.append(rows)
        return learner, {}

    def apply(variables, x):
        return jnp.zeros((len(x), 2)), jnp.full(len(x), 10.0)

    learner = train.TrainState.create({"params": {"w": jnp.zeros(1)}}, optim.sgd(0.1), jax.random.key(0))
    for max_steps in (4, 60):
        environment = environments.cart_pole(max_steps)
        agent = rl.Reinforce(environment, apply, update, episodes=2, max_steps=60, discount=0.5)
        _, metrics = agent.step(learner)
        first = {name: np.asarray(rows).reshape(2, 60, -1)[0] for name, rows in played[-1].items()}
        length = int(first["mask"].sum())
        expected = [0.0 if max_steps == 60 else 10.0]
        for _ in range(length):
            expected.append(1 + 0.5 * expected[-1])
        np.testing.assert_allclose(first["return"][:length, 0], expected[:0:-1], rtol=1e-6)
        assert (length == 4) == (max_steps == 4)
        assert float(metrics["return"]) == float(metrics["length"])


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_reinforce_is_that_of_the_expected_return():
    """The bandit of two actions: the mean gradient over both actions is the derivative of ``sum_a p(a) r(a)``."""
    rewards, theta = np.array([1.0, 3.0]), np.array([0.3, -0.2])

    def apply(variables, x):
        return jnp.broadcast_to(variables["params"]["logits"], (len(x), 2)), jnp.full(len(x), variables["baseline"])

    p = np.exp(theta) / np.exp(theta).sum()
    gradients, loss = [], rl.reinforce_loss(apply, value_weight=0.0)
    for baseline in (0.0, 2.0):
        total = 0
        for action in (0, 1):
            batch = {
                "observation": np.zeros((1, 1)),
                "action": np.array([action]),
                "return": rewards[[action]],
                "mask": np.ones(1),
            }
            gradient = jax.grad(
                lambda logits, b=batch, v=baseline: loss({"params": {"logits": logits}, "baseline": v}, b, None)[0]
            )
            total = total + p[action] * gradient(theta)
        gradients.append(total)
    expected = -(p * rewards - p * (p @ rewards))
    for gradient in gradients:
        np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_a_stranger_state_is_an_error():
    environment = environments.cart_pole()
    with pytest.raises(TypeError, match="got Limited"):
        rl.collect(environment, None, environment.reset(jax.random.key(0))[0], jax.random.key(0), 2)


@pytest.mark.parametrize("error", [np.nan, np.inf])
def test_an_error_that_is_not_finite_leaves_the_other_rows_their_share(error):
    buffer = rl.prioritized_replay(4, exponent=1.0, floor=1e-3)
    state = buffer.add(buffer.init({"x": 0.0}), {"x": jnp.arange(3.0)})
    state = buffer.prioritize(state, jnp.arange(3), jnp.array([1.0, error, 3.0]))
    np.testing.assert_allclose(state.priorities, [1.001, 3.001, 3.001, 0], rtol=1e-6)
    drawn = buffer.sample(state, jax.random.key(0), 7)
    assert set(drawn["index"].tolist()) == {0, 1, 2}
    assert np.isfinite(drawn["weight"]).all()


def test_a_buffer_of_integers_refuses_fractions_and_rows_that_differ_in_number():
    buffer = rl.uniform_replay(4)
    state = buffer.init({"reward": 0, "action": 0})
    with pytest.raises(ValueError, match="reward of int32, that of the example, got float32"):
        buffer.add(state, {"reward": jnp.array([0.5]), "action": jnp.array([1])})
    with pytest.raises(ValueError, match="'reward': 1, 'action': 2"):
        buffer.add(state, {"reward": jnp.array([1]), "action": jnp.array([1, 2])})


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float32])
def test_transitions_of_integer_rewards_are_those_of_their_numbers(dtype):
    experience = {name: np.arange(4) for name in ("observation", "action", "next_observation")}
    experience |= {"reward": np.array([1, 0, 2, 1], dtype), "truncated": np.zeros(4, bool)}
    found = rl.n_step_transitions({**experience, "terminated": np.array([0, 0, 1, 0], bool)}, n=2, discount=0.9)
    np.testing.assert_allclose(found["reward"], [1, 1.8, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(found["discount"], [0.81, 0, 0, 0.9], rtol=1e-6)


def test_the_probability_of_a_random_action_may_be_a_number():
    model, optimizer = models.MLP((4,), num_classes=3), optim.sgd(0.1)
    environment = environments.auto_reset(environments.catch(3, 3))

    def apply(variables, x):
        return model.apply(variables, x.reshape(len(x), -1))

    update = train.make_step(rl.deep_q_loss(apply), optimizer)
    params = model.init(jax.random.key(0), jnp.zeros((1, 9)))["params"]
    learner = train.TrainState.create({"params": params, "target": params}, optimizer, jax.random.key(1))
    results = []
    for epsilon in (0.25, np.float32(0.25), lambda step: 0.25):
        agent = rl.DeepQ(environment, apply, update, rl.uniform_replay(64), epsilon, rl.follow_slowly(0.1))
        results.append(jax.jit(agent.step)(agent.init(learner, jax.random.key(2), frames=16))[1])
    assert results[0] == results[1] == results[2]
    assert results[0]["epsilon"] == 0.25
    with pytest.raises(ValueError, match=r"epsilon in \[0, 1\], got 1\.5"):
        rl.DeepQ(environment, apply, update, rl.uniform_replay(64), 1.5, rl.follow_slowly(0.1))
