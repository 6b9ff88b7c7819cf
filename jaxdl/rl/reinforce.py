"""REINFORCE with a baseline: whole episodes, their returns, and one update of policy and values."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.rl._shared import Loss, Update, masked_mean
from jaxdl.rl.collecting import play_episode
from jaxdl.rl.environments.environment import Environment
from jaxdl.rl.policies import entropy, policy_gradient_loss
from jaxdl.rl.returns import discounted_returns
from jaxdl.typing import Array, Batch, Key, PyTree

PolicyAndValues = Callable[[dict[str, PyTree], Array], tuple[Array, Array]]
"""``apply(variables, observations [B, ...]) -> (logits [B, A], values [B])``."""


def reinforce_loss(apply: PolicyAndValues, *, entropy_weight: float = 0.0, value_weight: float = 0.5) -> Loss:
    """Make the loss ``-mean (G_t - v(s_t)) ln p(a_t | s_t) + c mean (G_t - v(s_t))^2 - b mean H(p(. | s_t))``.

    The gradient stops at the baseline ``v`` in the first term. A batch has ``observation``, ``action``, ``return`` and
    ``mask``, each ``[B, ...]``: one row for each time step.

    Args:
        apply: policy and values.
        entropy_weight: ``b``, at least 0.
        value_weight: ``c``, at least 0.

    Returns:
        ``loss(variables, batch, key) -> (loss, (collections, metrics))`` for ``train.make_step``, with the metrics
        ``policy_loss``, ``value_loss`` and ``entropy``.

    Raises:
        ValueError: a weight is negative.

    Source: Williams, 1992; Sutton and Barto, 2018, section 13.4.

    >>> apply = lambda variables, x: (x * variables["params"]["w"], jnp.zeros(len(x)))
    >>> batch = {"observation": jnp.zeros((1, 2)), "action": jnp.array([0]), "return": jnp.ones(1), "mask": jnp.ones(1)}
    >>> loss, _ = reinforce_loss(apply, value_weight=0.0)({"params": {"w": 1.0}}, batch, jax.random.key(0))
    >>> loss.item()
    0.693...
    """
    check_in_range("entropy_weight", entropy_weight)
    check_in_range("value_weight", value_weight)

    def loss(
        variables: dict[str, PyTree], batch: Batch, key: Key
    ) -> tuple[Array, tuple[dict[str, PyTree], dict[str, Array]]]:
        logits, values = apply(variables, batch["observation"])
        mask = batch["mask"]
        policy_loss = policy_gradient_loss(logits, batch["action"], batch["return"] - values, mask)
        value_loss = losses.mean_squared_error(values, batch["return"], mask=mask)
        disorder = masked_mean(entropy(logits), mask)
        metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": disorder}
        return policy_loss + value_weight * value_loss - entropy_weight * disorder, ({}, metrics)

    return loss


@dataclasses.dataclass(frozen=True)
class Reinforce:
    """REINFORCE with a baseline, one update a batch of episodes; its `step` is one for ``train.fit``.

    The return of an episode that is cut off by a limit of time continues with the value of its last observation.

    Attributes:
        environment: one without `auto_reset`.
        apply: policy and values.
        update: a step of ``train.make_step`` with `reinforce_loss`.
        episodes: in an update.
        max_steps: of an episode.
        discount: of rewards.

    >>> from jaxdl import optim, train
    >>> from jaxdl.rl import environments
    >>> def apply(variables, x):
    ...     return x.reshape(len(x), -1) @ variables["params"]["w"], jnp.zeros(len(x))
    >>> optimizer = optim.sgd(0.1)
    >>> agent = Reinforce(
    ...     environments.catch(3, 2), apply, train.make_step(reinforce_loss(apply), optimizer), episodes=4, max_steps=2
    ... )
    >>> state = train.TrainState.create({"params": {"w": jnp.zeros((6, 3))}}, optimizer, jax.random.key(0))
    >>> state, metrics = jax.jit(agent.step)(state)
    >>> int(state.step), -1 <= float(metrics["return"]) <= 1
    (1, True)
    """

    environment: Environment
    apply: PolicyAndValues
    update: Update
    episodes: int = 16
    max_steps: int = 500
    discount: float = 0.99

    def __post_init__(self) -> None:
        check_positive_integer("episodes", self.episodes)
        check_positive_integer("max_steps", self.max_steps)
        check_in_range("discount", self.discount, 0, 1)

    def step(self, learner: Any, batch: Batch | None = None) -> tuple[Any, dict[str, Array]]:
        """Play the episodes, compute their returns and update; the batch, that of `EmptyBatches`, is not read.

        Besides those of the update its metrics are ``return``, the mean undiscounted one, and ``length``.
        """
        variables = learner.variables

        def act(observation: Array, key: Key) -> Array:
            return jax.random.categorical(key, self.apply(variables, observation[None])[0][0]).astype(jnp.int32)

        key = jax.random.fold_in(jax.random.fold_in(learner.key, learner.step), 1)
        played = jax.vmap(lambda key: play_episode(self.environment, act, key, self.max_steps))(
            jax.random.split(key, self.episodes)
        )
        _, bootstrap = self.apply(variables, played["next_observation"][:, -1])
        # After the end of an episode the discount is 1, so that the last value reaches the step that ends it.
        factor = jnp.where(played["mask"] > 0, self.discount * (1 - played["terminated"].astype(jnp.float32)), 1)
        played["return"] = jax.vmap(discounted_returns)(played["reward"], factor, bootstrap)
        names = ("observation", "action", "return", "mask")
        rows = {name: played[name].reshape(-1, *played[name].shape[2:]) for name in names}
        learner, metrics = self.update(learner, rows)
        total, length = jnp.sum(played["reward"], axis=1), jnp.sum(played["mask"], axis=1)
        return learner, {**metrics, "return": jnp.mean(total), "length": jnp.mean(length)}
