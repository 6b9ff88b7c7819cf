"""Deep Q-learning: its loss, the duelling head, and one compiled step of acting, replay and learning."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, struct

from jaxdl import losses
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.rl._shared import Loss, Update
from jaxdl.rl.collecting import collect, n_step_transitions
from jaxdl.rl.environments.environment import Environment
from jaxdl.rl.policies import epsilon_greedy
from jaxdl.rl.replay import Buffer
from jaxdl.rl.targets import UpdateTarget
from jaxdl.rl.value_learning import double_q_learning, dueling, q_learning
from jaxdl.typing import Array, Batch, Key, PyTree, Schedule

QFunction = Callable[[dict[str, PyTree], Array], Any]
"""``apply(variables, observations [B, ...]) -> q [B, A]``, the ``apply`` of a linen module for instance."""


class DuelingHead(linen.Module):
    """The duelling head ``q = v + A - mean_a A``, of linear layers ``value`` and ``advantage`` (Wang et al., 2016).

    >>> q, variables = DuelingHead(num_actions=3).init_with_output(jax.random.key(0), jnp.ones((2, 8)))
    >>> q.shape, sorted(variables["params"])
    ((2, 3), ['advantage', 'value'])
    """

    num_actions: int

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Map features ``[..., D]`` to values of actions ``[..., A]``."""
        check_positive_integer("num_actions", self.num_actions)
        return dueling(linen.Dense(1, name="value")(x), linen.Dense(self.num_actions, name="advantage")(x))


def deep_q_loss(apply: QFunction, *, delta: float = 1.0) -> Loss:
    """Make the loss ``mean_i w_i huber(e_i)`` of the errors of `q_learning`, with the target network as next values.

    The variables have the collections ``params`` and ``target``, the parameters of the target network. The batch has
    the arrays of `n_step_transitions` and ``weight``, as `Buffer.sample` gives them.

    Args:
        apply: values of actions.
        delta: the largest error in the quadratic part of `losses.huber`. The error of a rare transition that ends an
            episode is of the size of a return: a ``delta`` of that size lets it count in proportion.

    Returns:
        ``loss(variables, batch, key) -> (loss, (collections, metrics))`` for ``train.make_step``; its metrics are the
        mean value of the actions taken, ``q``, and ``errors`` of the rows, ``[B]``.

    Raises:
        ValueError: ``delta`` is not above 0.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015.

    >>> apply = lambda variables, x: x * variables["params"]["w"]
    >>> batch = {"observation": jnp.ones((1, 2)), "action": jnp.array([0]), "reward": jnp.ones(1)}
    >>> batch |= {"discount": jnp.full(1, 0.5), "next_observation": jnp.ones((1, 2)), "weight": jnp.ones(1)}
    >>> variables = {"params": {"w": jnp.ones(())}, "target": {"w": jnp.full((), 2.0)}}
    >>> loss, (_, metrics) = deep_q_loss(apply)(variables, batch, jax.random.key(0))
    >>> metrics["errors"].tolist(), float(loss)
    ([1.0], 0.5)
    """
    check_in_range("delta", delta, includes_low=False)

    def errors(variables: dict[str, PyTree], batch: Batch) -> tuple[Array, Array]:
        q = apply({"params": variables["params"]}, batch["observation"])
        next_q = apply({"params": variables["target"]}, batch["next_observation"])
        return q, jax.vmap(q_learning)(q, batch["action"], batch["reward"], batch["discount"], next_q)

    return partial(_huber_loss, errors, delta)


def double_deep_q_loss(apply: QFunction, *, delta: float = 1.0) -> Loss:
    """Make the loss of `deep_q_loss` with the errors of `double_q_learning`: the learning network chooses the action.

    Arguments and errors as there.

    Source: van Hasselt, Guez and Silver, "Deep reinforcement learning with double Q-learning", 2016.
    """
    check_in_range("delta", delta, includes_low=False)

    def errors(variables: dict[str, PyTree], batch: Batch) -> tuple[Array, Array]:
        own = {"params": variables["params"]}
        q, selector = apply(own, batch["observation"]), apply(own, batch["next_observation"])
        next_q = apply({"params": variables["target"]}, batch["next_observation"])
        arguments = (q, batch["action"], batch["reward"], batch["discount"], next_q, selector)
        return q, jax.vmap(double_q_learning)(*arguments)

    return partial(_huber_loss, errors, delta)


def _huber_loss(
    make_errors: Callable[[dict[str, PyTree], Batch], tuple[Array, Array]],
    delta: float,
    variables: dict[str, PyTree],
    batch: Batch,
    key: Key,
) -> tuple[Array, tuple[dict[str, PyTree], dict[str, Array]]]:
    q, errors = make_errors(variables, batch)
    terms = batch["weight"] * losses.huber(errors, jnp.zeros_like(errors), delta=delta, reduction="none")
    taken = jnp.take_along_axis(q, batch["action"][:, None], axis=1)
    return jnp.mean(terms), ({"target": variables["target"]}, {"q": jnp.mean(taken), "errors": errors})


@struct.dataclass
class AgentState:
    """The state of an agent that learns while it acts.

    Attributes:
        learner: a ``train.TrainState``, with the target network as its collection ``target``.
        episodes: the states of the environments, ``[environments, ...]``.
        replay: the state of the buffer.
    """

    learner: Any
    episodes: PyTree
    replay: PyTree

    @property
    def step(self) -> Array:
        """Number of updates made so far."""
        return self.learner.step

    @property
    def params(self) -> PyTree:
        """The parameters of the network."""
        return self.learner.params

    @property
    def variables(self) -> dict[str, PyTree]:
        """The variables of the network and of the target network."""
        return self.learner.variables


@dataclasses.dataclass(frozen=True)
class DeepQ:
    """The parts of deep Q-learning: `init` makes the state of an agent, `step` acts, replays and learns.

    Attributes:
        environment: one with `auto_reset`.
        apply: the network.
        update: ``update(learner, batch) -> (learner, metrics)``, a step of ``train.make_step`` with `deep_q_loss` or
            `double_deep_q_loss`.
        buffer: replay of transitions.
        epsilon: probability of a random action, a number or a schedule of the step.
        update_target: how the target network follows: `follow_slowly` or `copy_every`.
        environments: that act side by side.
        segment: steps of each environment before an update.
        n: steps of a transition, see `n_step_transitions`; those that a segment cuts off are shorter.
        batch_size: transitions in an update.
        discount: of rewards.

    >>> from jaxdl import models, optim, train
    >>> from jaxdl.rl import environments, replay, targets
    >>> environment = environments.auto_reset(environments.cart_pole())
    >>> model, optimizer = models.MLP((8,), num_classes=2), optim.adam(1e-3)
    >>> update = train.make_step(deep_q_loss(model.apply), optimizer)
    >>> buffer, follow = replay.uniform_replay(100), targets.follow_slowly(0.01)
    >>> agent = DeepQ(environment, model.apply, update, buffer, lambda step: 0.1, follow)
    >>> params = model.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
    >>> learner = train.TrainState.create({"params": params, "target": params}, optimizer, jax.random.key(1))
    >>> state = jax.eval_shape(lambda key: agent.init(learner, key, frames=32), jax.random.key(2))
    >>> state, metrics = jax.eval_shape(agent.step, state)
    >>> state.replay.transitions["observation"].shape, sorted(metrics)[:3]
    ((100, 4), ['epsilon', 'gradient_norm', 'learning_rate'])
    """

    environment: Environment
    apply: QFunction
    update: Update
    buffer: Buffer
    epsilon: float | Schedule
    update_target: UpdateTarget
    environments: int = 8
    segment: int = 1
    n: int = 1
    batch_size: int = 64
    discount: float = 0.99

    def __post_init__(self) -> None:
        for name in ("environments", "segment", "n", "batch_size"):
            check_positive_integer(name, getattr(self, name))
        check_in_range("epsilon", self.epsilon, 0, 1)

    @property
    def frames(self) -> int:
        """Steps of the environments between two updates."""
        return self.environments * self.segment

    def init(self, learner: Any, key: Key, frames: int) -> AgentState:
        """Start the environments, and fill the buffer with ``frames`` or a few more steps of random actions."""
        check_positive_integer("frames", frames)
        reset_key, fill_key = jax.random.split(key)
        episodes, _ = jax.vmap(self.environment.reset)(jax.random.split(reset_key, self.environments))

        def act(observation: Array, key: Key) -> Array:
            return jax.random.randint(key, (), 0, self.environment.num_actions, jnp.int32)

        def fill(carry: tuple, key: Key) -> tuple[tuple, None]:
            episodes, replay = carry
            episodes, transitions = self._collect(act, episodes, key)
            return (episodes, self.buffer.add(replay, transitions)), None

        shapes = jax.eval_shape(partial(self._collect, act), episodes, fill_key)[1]
        example = {name: jnp.zeros(rows.shape[1:], rows.dtype) for name, rows in shapes.items()}
        keys = jax.random.split(fill_key, -(-frames // self.frames))
        (episodes, replay), _ = jax.lax.scan(fill, (episodes, self.buffer.init(example)), keys)
        return AgentState(getattr(self.update, "prepare", lambda state: state)(learner), episodes, replay)

    def step(self, state: AgentState, batch: Batch | None = None) -> tuple[AgentState, dict[str, Array]]:
        """Act in every environment, add the transitions to the replay, update, and let the target network follow.

        It is a step for ``train.fit``, whose batch, that of `EmptyBatches`, is not read. Besides those of the update
        its metrics are ``epsilon`` and ``return``, the mean of the last returns of the environments.
        """
        learner = state.learner
        act_key, sample_key = jax.random.split(jax.random.fold_in(jax.random.fold_in(learner.key, learner.step), 1))
        epsilon = self.epsilon(learner.step) if callable(self.epsilon) else self.epsilon
        variables = {"params": learner.params}

        def act(observation: Array, key: Key) -> Array:
            return epsilon_greedy(key, self.apply(variables, observation[None])[0], epsilon)

        episodes, transitions = self._collect(act, state.episodes, act_key)
        replay = self.buffer.add(state.replay, transitions)
        rows = self.buffer.sample(replay, sample_key, self.batch_size)
        learner, metrics = self.update(learner, {name: row for name, row in rows.items() if name != "index"})
        replay = self.buffer.prioritize(replay, rows["index"], metrics["errors"])
        target = self.update_target(learner.collections["target"], learner.params, learner.step)
        learner = dataclasses.replace(learner, collections={**learner.collections, "target": target})
        metrics = {name: metric for name, metric in metrics.items() if name != "errors"}
        metrics |= {"epsilon": jnp.asarray(epsilon), "return": jnp.mean(episodes.last_return)}
        return AgentState(learner, episodes, replay), metrics

    def _collect(self, act: Callable[[Array, Key], Array], episodes: PyTree, key: Key) -> tuple[PyTree, dict]:
        """Act for a segment; return the transitions of all environments as rows."""
        keys = jax.random.split(key, self.environments)
        one = partial(collect, self.environment, act, steps=self.segment)
        episodes, experience = jax.vmap(one)(episodes, keys)
        transitions = jax.vmap(partial(n_step_transitions, n=self.n, discount=self.discount))(experience)
        return episodes, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), transitions)
