"""Reinforcement learning: pure functions on one trajectory, replay on the device, and environments to compile.

- ``returns``: `discounted_returns`, `lambda_returns`, `n_step_returns`, `generalized_advantages`.
- ``value_learning``: the errors `td_learning`, `td_lambda`, `sarsa`, `expected_sarsa`, `q_learning`,
  `double_q_learning`, `q_lambda`; `dueling`, the head of a duelling network.
- ``policies``: `epsilon_greedy` and `epsilon_greedy_probabilities`, `entropy`, `policy_gradient_loss`,
  `clipped_surrogate_loss`.
- ``targets``: target networks, `follow_slowly` or `copy_every`.
- ``replay``: a `Buffer` of transitions, `uniform_replay` with its state `Replay`, `prioritized_replay` with
  `PrioritizedReplay`, `sample_proportionally`.
- ``collecting``: `collect`, `play_episode`, `n_step_transitions`; `EmptyBatches`, the loader of a step without data.
- ``deep_q``: `DeepQ` with its `AgentState`, `deep_q_loss`, `double_deep_q_loss`, `DuelingHead`.
- ``reinforce``: `Reinforce` and `reinforce_loss`.
- ``environments``: CartPole, catch, grid worlds, tic-tac-toe, and those of gymnasium.
"""

from jaxdl.rl import environments
from jaxdl.rl.collecting import EmptyBatches, collect, n_step_transitions, play_episode
from jaxdl.rl.deep_q import AgentState, DeepQ, DuelingHead, deep_q_loss, double_deep_q_loss
from jaxdl.rl.policies import (
    clipped_surrogate_loss,
    entropy,
    epsilon_greedy,
    epsilon_greedy_probabilities,
    policy_gradient_loss,
)
from jaxdl.rl.reinforce import Reinforce, reinforce_loss
from jaxdl.rl.replay import (
    Buffer,
    PrioritizedReplay,
    Replay,
    prioritized_replay,
    sample_proportionally,
    uniform_replay,
)
from jaxdl.rl.returns import discounted_returns, generalized_advantages, lambda_returns, n_step_returns
from jaxdl.rl.targets import copy_every, follow_slowly
from jaxdl.rl.value_learning import (
    double_q_learning,
    dueling,
    expected_sarsa,
    q_lambda,
    q_learning,
    sarsa,
    td_lambda,
    td_learning,
)

__all__ = [
    "AgentState",
    "Buffer",
    "DeepQ",
    "DuelingHead",
    "EmptyBatches",
    "PrioritizedReplay",
    "Reinforce",
    "Replay",
    "clipped_surrogate_loss",
    "collect",
    "copy_every",
    "deep_q_loss",
    "discounted_returns",
    "double_deep_q_loss",
    "double_q_learning",
    "dueling",
    "entropy",
    "environments",
    "epsilon_greedy",
    "epsilon_greedy_probabilities",
    "expected_sarsa",
    "follow_slowly",
    "generalized_advantages",
    "lambda_returns",
    "n_step_returns",
    "n_step_transitions",
    "play_episode",
    "policy_gradient_loss",
    "prioritized_replay",
    "q_lambda",
    "q_learning",
    "reinforce_loss",
    "sample_proportionally",
    "sarsa",
    "td_lambda",
    "td_learning",
    "uniform_replay",
]
