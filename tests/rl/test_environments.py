"""Environments: CartPole and grid worlds equal to gymnasium's, catch and tic-tac-toe to plain loops, their wrappers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.rl import collect, environments, play_episode

gymnasium = pytest.importorskip("gymnasium", reason="environments of gymnasium")


@pytest.mark.parametrize("x64", [True, False])
def test_cart_pole_is_that_of_gymnasium(x64):
    random = np.random.default_rng(0)
    with jax.enable_x64(x64):
        ours = environments.cart_pole(max_steps=60)
        step = jax.jit(ours.step)
        theirs = gymnasium.make("CartPole-v1", max_episode_steps=60)
        outcomes = set()
        for episode in range(4):
            theirs.reset(seed=episode)
            state, _ = ours.reset(jax.random.key(0))
            state = state._replace(state=jnp.asarray(theirs.unwrapped.state, state.state.dtype))
            for _ in itertools.count():
                # Balanced in two episodes, so that they are truncated.
                angle = theirs.unwrapped.state
                action = int(angle[2] + angle[3] > 0) if episode % 2 else int(random.integers(2))
                observation, reward, terminated, truncated, _ = theirs.step(action)
                state, time_step = step(state, action)
                tolerance = {"rtol": 1e-12, "atol": 1e-14} if x64 else {"rtol": 2e-5, "atol": 2e-5}
                np.testing.assert_allclose(state.state, theirs.unwrapped.state, **tolerance)
                np.testing.assert_allclose(time_step.observation, observation, rtol=2e-5, atol=2e-5)
                assert time_step.observation.dtype == observation.dtype
                found = (float(time_step.reward), bool(time_step.terminated), bool(time_step.truncated))
                assert found == (reward, terminated, truncated)
                if terminated or truncated:
                    break
            outcomes |= {(terminated, truncated)}
        assert outcomes >= {(True, False), (False, True)}


def test_cart_pole_starts_as_gymnasium_does():
    states, _ = jax.vmap(environments.cart_pole().reset)(jax.random.split(jax.random.key(0), 1000))
    assert np.abs(states.state).max() <= 0.05
    np.testing.assert_allclose(np.mean(states.state, axis=0), 0, atol=0.005)
    np.testing.assert_allclose(np.std(states.state, axis=0), 0.1 / np.sqrt(12), rtol=0.05)


@pytest.mark.parametrize("slippery", [True, False])
def test_grid_worlds_are_those_of_frozen_lake(slippery):
    theirs = gymnasium.make("FrozenLake-v1", is_slippery=slippery).unwrapped
    layout = ["".join(line).translate(str.maketrans("FH", ".X")) for line in theirs.desc.astype(str)]
    world = environments.grid_world(layout, slip=2 / 3 if slippery else 0.0, pit_reward=0.0)
    for field, moves in theirs.P.items():
        for action, outcomes in moves.items():
            probability, reward = np.zeros(16), 0.0
            for p, following, gained, _ in outcomes:
                probability[following] += p
                reward += p * gained
            np.testing.assert_allclose(world.transitions[field, action], probability, atol=1e-12)
            assert world.rewards[field, action] == pytest.approx(reward)
    # The functions follow the table.
    reset, step = world.environment.reset, jax.jit(jax.vmap(world.environment.step, in_axes=(0, None)))
    positions, observation = jax.vmap(reset)(jax.random.split(jax.random.key(0), 4000))
    assert (np.argmax(observation, axis=1) == 0).all()
    positions = positions._replace(field=jnp.full(4000, 14))
    after, time_step = step(positions, 2)
    np.testing.assert_allclose(np.bincount(after.field, minlength=16) / 4000, world.transitions[14, 2], atol=0.03)
    reached = np.asarray(after.field) == 15
    assert (np.asarray(time_step.terminated) == reached).all()
    assert (np.asarray(time_step.reward) == reached).all()


def test_values_of_a_grid_world_solve_the_equation_of_bellman():
    world = environments.grid_world(["S..", ".#X", "..G"], slip=0.2, step_reward=-0.1)
    v, q = environments.value_iteration(world, 0.9)
    assert v[[5, 8]].tolist() == [0, 0]
    for policy in (np.eye(4)[q.argmax(axis=1)], np.full((9, 4), 0.25)):
        found, expected = environments.evaluate_policy(world, policy, 0.9), np.zeros(9)
        for _ in range(300):  # Bellman's equation, iterated in a loop
            expected = np.array(
                [
                    sum(
                        policy[s, a] * (world.rewards[s, a] + 0.9 * world.transitions[s, a] @ expected)
                        for a in range(4)
                    )
                    * (not world.terminal[s])
                    for s in range(9)
                ]
            )
        np.testing.assert_allclose(found, expected, atol=1e-10)
    np.testing.assert_allclose(environments.evaluate_policy(world, np.eye(4)[q.argmax(axis=1)], 0.9), v, atol=1e-10)
    with pytest.raises(ValueError, match=r"got shape \(4,\)"):
        environments.evaluate_policy(world, np.ones(4), 0.9)


def test_catch_is_a_plain_loop():
    rows, columns = 6, 4
    environment = environments.catch(rows, columns)
    step = jax.jit(environment.step)
    random = np.random.default_rng(0)
    rewards = set()
    for episode in range(8):
        state, image = environment.reset(jax.random.key(episode))
        column, paddle = int(np.argmax(image[0, :, 0])), columns // 2
        for row in range(1, rows):
            action = int(random.integers(3))
            paddle = min(max(paddle + action - 1, 0), columns - 1)
            state, time_step = step(state, action)
            expected = np.zeros((rows, columns, 1))
            expected[row, column] = expected[rows - 1, paddle] = 1
            np.testing.assert_array_equal(time_step.observation, expected)
            last = row == rows - 1
            assert bool(time_step.terminated) == last
            assert float(time_step.reward) == (last and (1 if paddle == column else -1))
        rewards |= {float(time_step.reward)}
    assert rewards == {-1, 1}


def test_tic_tac_toe_is_a_plain_loop():
    environment = environments.tic_tac_toe()
    step = jax.jit(environment.step)
    random = np.random.default_rng(0)
    ends = set()
    for _ in range(30):
        board, _ = environment.reset(None)
        fields, player = [0] * 9, 1
        while True:
            action = (
                int(random.integers(9))
                if random.random() < 0.1
                else int(random.choice(np.flatnonzero(np.equal(fields, 0))))
            )
            legal = fields[action] == 0
            if legal:
                fields[action] = player
            lines = np.array(fields).reshape(3, 3)
            sums = {*lines.sum(0), *lines.sum(1), np.trace(lines), np.trace(lines[::-1])}
            won = legal and 3 * player in sums
            over = won or not legal or 0 not in fields
            board, time_step = step(board, action)
            assert (float(time_step.reward), bool(time_step.terminated)) == (won if legal else -1, over)
            player = -player
            np.testing.assert_array_equal(time_step.observation[..., 0].ravel(), np.equal(fields, player))
            np.testing.assert_array_equal(environments.legal_actions(board), np.equal(fields, 0))
            if over:
                ends.add("won" if won else "illegal" if not legal else "drawn")
                break
    assert ends == {"won", "illegal", "drawn"}


def test_an_episode_restarts_and_its_last_observation_is_kept():
    environment = environments.auto_reset(environments.limit_time(environments.catch(4, 3), 2))
    episode, _ = environment.reset(jax.random.key(0))
    act = jax.jit(collect, static_argnums=(0, 1, 4))
    episode, found = act(environment, stay, episode, jax.random.key(1), 6)
    assert found["truncated"].tolist() == [False, True] * 3
    assert not found["terminated"].any()
    image = np.asarray(found["observation"])[..., 0]
    following = np.asarray(found["next_observation"])[..., 0]
    np.testing.assert_array_equal(image.sum(axis=2)[:, 0], [1, 0] * 3)  # the ball is at the top after a restart
    np.testing.assert_array_equal(following.sum(axis=2)[:, 2], [0, 1] * 3)
    np.testing.assert_array_equal(image[1::2], following[::2])
    assert int(episode.finished) == 3
    assert len({int(row[0].argmax()) for row in image[::2]}) > 1  # other episodes


def stay(observation, key):
    return jnp.array(1)


def test_the_return_of_an_episode_is_counted():
    environment = environments.auto_reset(environments.limit_time(environments.cart_pole(), 3))
    episode, _ = environment.reset(jax.random.key(0))
    returns = []
    step = jax.jit(environment.step)
    for _ in range(4):
        episode, _ = step(episode, 1)
        returns.append((float(episode.total), float(episode.last_return)))
    assert returns == [(1, 0), (2, 0), (0, 3), (1, 3)]


def test_an_episode_stays_at_its_end():
    played = jax.jit(play_episode, static_argnums=(0, 1, 3))(environments.cart_pole(), stay, jax.random.key(0), 30)
    length = int(played["mask"].sum())
    assert 5 < length < 20
    assert float(played["reward"].sum()) == length
    assert np.flatnonzero(played["terminated"]).tolist() == [length - 1]
    following = np.asarray(played["next_observation"])
    assert (following[length - 1 :] == following[-1]).all()


def test_environments_of_gymnasium_are_adapted():
    theirs = gymnasium.make("CartPole-v1")
    environment = environments.from_gymnasium(theirs)
    assert environment.num_actions == 2
    state, observation = environment.reset(jax.random.key(3))
    expected, _ = gymnasium.make("CartPole-v1").reset(seed=environments.seed_of(jax.random.key(3)))
    np.testing.assert_array_equal(observation, expected)
    after, time_step = environment.step(state, np.int64(1))
    np.testing.assert_array_equal(time_step.observation, theirs.unwrapped.state.astype(np.float32))
    with pytest.raises(ValueError, match="got 1"):
        environment.step(state, 1)
    with pytest.raises(TypeError, match="traced"):
        jax.jit(lambda action: environment.step(after, action)[1].reward)(1)
    with pytest.raises(TypeError, match="got object"):
        environments.from_gymnasium(object())


def test_other_spaces_of_actions_are_passed_as_arrays():
    class Continuous:
        action_space = object()

        def reset(self, seed):
            return np.zeros(1), {}

        def step(self, action):
            return action, float(action.sum()), False, True, {}

    environment = environments.from_gymnasium(Continuous())
    assert environment.num_actions == 0
    state, _ = environment.reset(0)
    _, time_step = environment.step(state, [0.5, 1.0])
    assert float(time_step.reward) == 1.5
    assert time_step.truncated
    assert time_step.ended


def test_games_of_gymnasium_are_played_side_by_side():
    def balance(observations):
        return observations[:, 2] + observations[:, 3] > 0

    returns = environments.play_gymnasium(lambda: gymnasium.make("CartPole-v1"), balance, episodes=3, seed=5)
    alone = []
    for seed in range(5, 8):
        environment = gymnasium.make("CartPole-v1")
        observation, _ = environment.reset(seed=seed)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = environment.step(int(balance(observation[None])[0]))
            total, over = total + reward, terminated or truncated
        alone.append(total)
    assert returns.tolist() == alone
    assert min(alone) > 50


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: environments.cart_pole(0), "got 0"),
        (lambda: environments.catch(1, 3), "got 0"),
        (lambda: environments.catch(3, 0), "got 0"),
        (lambda: environments.cart_pole().step(environments.cart_pole().reset(jax.random.key(0))[0], 2), "got 2"),
        (lambda: environments.grid_world(["S.", "G"]), r"got lengths \[1, 2\]"),
        (lambda: environments.grid_world(["SG?"]), r"got '\?'"),
        (lambda: environments.grid_world(["..G"]), "got 0 and 1"),
        (lambda: environments.grid_world(["SG"], slip=1.2), "got 1.2"),
        (lambda: environments.value_iteration(environments.grid_world(["SG"]), 1.0), "got 1.0"),
        (lambda: environments.play_gymnasium(lambda: None, stay, 0), "got 0"),
    ],
)
def test_bad_arguments_are_errors(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_an_environment_may_return_numbers_of_python():
    def step(state, action):
        return state + 1, environments.TimeStep(jnp.zeros(2), 1, False, state >= 2)

    environment = environments.Environment(lambda key: (jnp.zeros((), jnp.int32), jnp.zeros(2)), step, 2)
    played = play_episode(environment, lambda observation, key: 0, jax.random.key(0), max_steps=5)
    assert played["reward"].tolist() == [1, 1, 1, 0, 0]
    endless = environments.auto_reset(environment)
    episode, _ = endless.reset(jax.random.key(0))
    episode, experience = collect(endless, lambda observation, key: 0, episode, jax.random.key(1), steps=4)
    assert experience["truncated"].tolist() == [False, False, True, False]
    assert float(episode.last_return) == 3
