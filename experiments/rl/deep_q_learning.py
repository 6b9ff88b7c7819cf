"""Deep Q-learning balances a pole, and catches balls that it sees as pixels: eight seeds as one program.

    python -m experiments run deep_q_learning

Environments, replay and network are one compiled step: act with epsilon-greedy choice, keep the transitions, learn from
a batch of earlier ones. Defaults are double Q-learning with a target network that follows slowly; `--dueling`,
`--prioritized`, `--n`, `--no-double` change them. What is judged are the averaged parameters of the last update,
without random actions: the mean return of 100 episodes of CartPole-v1 for each seed, played in gymnasium itself, or of
catch with `--environment catch`. A run resumes with its replay, bit for bit.
"""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from experiments.harness.rl import reinforcement
from experiments.harness.run_folder import Run
from experiments.rl import drawings
from jaxdl import optim, rl, train
from jaxdl.optim import schedules
from jaxdl.rl import environments
from jaxdl.typing import Key

GOAL = {"return": 475.0}
PRESETS = {
    "catch_pixels": (
        {
            "environment": "catch",
            "steps": 1500,
            "environments": 8,
            "n": 3,
            "batch_size": 64,
            "learning_rate": 1e-3,
            "epsilon_steps": 750,
            "delta": 1.0,
        },
        {"return": 0.95},
    )
}
SIDES = (10, 5)
"""Rows and columns of catch."""


@dataclass(frozen=True)
class Config(reinforcement.Agents):
    """Deep Q-learning."""

    SMOKE = {
        "seeds": 2,
        "steps": 4,
        "environments": 2,
        "batch_size": 4,
        "capacity": 16,
        "learning_starts": 8,
        "hidden_sizes": (4,),
        "episodes": 2,
    }
    LEAST = {"epsilon_final": 0}

    environment: Literal["cart_pole", "catch"] = "cart_pole"
    """What is learned."""
    steps: int = 60_000
    environments: int = 2
    """Copies of the environment that a seed acts in."""
    segment: int = 4
    """Steps of each between two updates."""
    n: int = 1
    """Steps of a transition."""
    batch_size: int = 128
    """Transitions in an update."""
    capacity: int = 20_000
    """Transitions kept by each seed."""
    learning_starts: int = 1000
    """Random frames before the first update."""
    learning_rate: float = 2.5e-4
    epsilon_final: float = 0.05
    """Probability of a random action after epsilon_steps updates, from 1 at the first."""
    epsilon_steps: int = 30_000
    """Updates over which it falls."""
    target_rate: float = 0.01
    """Share by which the target network follows in an update."""
    delta: float = 100.0
    """Largest error in the quadratic part of the loss: rare ends of episodes count in proportion."""
    average: float = 0.995
    """Decay of the average of the parameters."""
    hidden_sizes: tuple[int, ...] = (120, 84)
    """Units of the hidden layers."""
    double: bool = True
    """Choose the next action by the network that learns."""
    dueling: bool = False
    """Values and advantages in a head of their own."""
    prioritized: bool = False
    """Draw transitions in proportion to their errors."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, test, draw."""
    is_pole = config.environment == "cart_pole"
    environment = environments.cart_pole() if is_pole else environments.catch(*SIDES)
    network, agent, states = make_agents(config, environment)
    states, rows = reinforcement.train_members(
        run, agent.step, states, steps=config.steps, frames=config.seeds * agent.frames
    )
    params = states.learner.average
    if is_pole:
        policy = reinforcement.act_greedily(network.apply, params)
        returns = reinforcement.play_cart_pole(policy, config.seeds, config.episodes, config.seed + 1)
    else:
        played = reinforcement.play_compiled(environment, network.apply, params, config.episodes, SIDES[0] - 1)
        returns = played["reward"].sum(axis=-1)
        shown = played["observation"][0, :4, ..., 0]
        run.figure("episodes", drawings.draw_frames(shown, returns[0, :4]))
    curves = {name: reinforcement.curve(rows, name, agent.frames) for name in ("return", "q")}
    run.figure("learning", drawings.draw_learning(curves, goal=GOAL if is_pole else {"return": 1.0}))
    frames = config.learning_starts + config.steps * agent.frames
    return {
        **reinforcement.summary(returns),
        "seeds_that_solve": int(np.sum(returns.mean(axis=1) >= (475 if is_pole else 0.95))),
        "frames_of_a_seed": frames,
    }


def make_agents(config: Config, environment: environments.Environment) -> tuple[Any, rl.DeepQ, rl.AgentState]:
    """Make the network, the agent and the states of all seeds."""
    network = reinforcement.q_network(
        config.hidden_sizes,
        environment.num_actions,
        pixels=config.environment == "catch",
        dueling=config.dueling,
    )
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, config.steps))
    make_loss = rl.double_deep_q_loss if config.double else rl.deep_q_loss
    make_buffer = rl.prioritized_replay if config.prioritized else rl.uniform_replay
    agent = rl.DeepQ(
        environment=environments.auto_reset(environment),
        apply=network.apply,
        update=train.make_step(make_loss(network.apply, delta=config.delta), optimizer, average=config.average),
        buffer=make_buffer(config.capacity),
        epsilon=schedules.linear(1.0, config.epsilon_final, config.epsilon_steps),
        update_target=rl.follow_slowly(config.target_rate),
        environments=config.environments,
        segment=config.segment,
        n=config.n,
        batch_size=config.batch_size,
        discount=config.discount,
    )
    example = reinforcement.first_observation(environment)

    def start(key: Key) -> rl.AgentState:
        init_key, learner_key, agent_key = jax.random.split(key, 3)
        params = network.init(init_key, example)["params"]
        learner = train.TrainState.create({"params": params, "target": params}, optimizer, learner_key)
        return agent.init(learner, agent_key, config.learning_starts)

    return network, agent, reinforcement.start_members(start, config.seed, config.seeds)
