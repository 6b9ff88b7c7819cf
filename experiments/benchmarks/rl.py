"""Deep Q-learning of CartPole: frames per second against torch with gymnasium, in the shape of CleanRL's ``dqn.py``.

One environment, a network 4-120-84-2, an update with 128 of the last 10,000 transitions after every tenth frame, and a
copy of the target network after every 50th update. Our side is one compiled scan over acting, replay and learning;
torch's is the loop of Python, eager. Both updates are shown equal on the same batch before anything is timed. Eight
agents at once, by ``vmap``, are compared with eight in sequence.
"""

import copy
import importlib.util
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from experiments.benchmarks.training import repeat
from jaxdl import models, optim, rl, train
from jaxdl.rl import environments

HIDDEN, RATE, BATCH, CAPACITY, DISCOUNT, EPSILON = (120, 84), 2.5e-4, 128, 10_000, 0.99, 0.05
FRAMES_PER_UPDATE, UPDATES, COPY_EVERY, AGENTS = 10, 200, 50, 8
ALONE = "CartPole, one agent"
TOGETHER = f"CartPole, {AGENTS} agents at once"


def titles() -> list[str]:
    """Name the cases."""
    return [ALONE, TOGETHER]


def cases() -> Iterator[Case | Missing]:
    """Yield one agent, and several at once against as many in sequence."""
    if any(importlib.util.find_spec(peer) is None for peer in ("torch", "gymnasium")):
        yield from (Missing(title, "torch or gymnasium") for title in titles())
        return
    model, agent = make_agent()
    states = jax.jit(jax.vmap(partial(start, model, agent)))(jax.random.split(jax.random.key(0), AGENTS))
    first = jax.tree.map(lambda leaf: leaf[0], states)
    theirs = TorchAgent(first.params)
    check_equal(agent, first, TorchAgent(first.params))
    yield Case(ALONE, "torch", OurAgents(agent.step, first).run, theirs.run, rounds=3, details=partial(speeds, 1))
    together = OurAgents(jax.vmap(agent.step, in_axes=(0, None)), states)
    several = partial(repeat, theirs.run, AGENTS)
    yield Case(TOGETHER, "torch", together.run, several, rounds=3, details=partial(speeds, AGENTS))


def speeds(agents: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return frames per second of both sides."""
    frames = agents * UPDATES * FRAMES_PER_UPDATE
    return {f"frames_per_second_{side}": round(frames / row[side]) for side in ("ours", "peer")}


def make_agent() -> tuple[models.MLP, rl.DeepQ]:
    """Make the network and our agent."""
    model, optimizer = models.MLP(HIDDEN, num_classes=2), optim.adam(RATE)
    agent = rl.DeepQ(
        environment=environments.auto_reset(environments.cart_pole()),
        apply=model.apply,
        update=train.make_step(rl.deep_q_loss(model.apply), optimizer),
        buffer=rl.uniform_replay(CAPACITY),
        epsilon=optim.schedules.constant(EPSILON),
        update_target=rl.copy_every(COPY_EVERY),
        environments=1,
        segment=FRAMES_PER_UPDATE,
        batch_size=BATCH,
        discount=DISCOUNT,
    )
    return model, agent


def start(model: models.MLP, agent: rl.DeepQ, key: jax.Array) -> rl.AgentState:
    """Make the state of an agent with a full buffer."""
    params = model.init(key, jnp.zeros((1, 4)))["params"]
    learner = train.TrainState.create({"params": params, "target": params}, optim.adam(RATE), key)
    return agent.init(learner, key, CAPACITY)


class OurAgents:
    """Our side: all frames in one compiled scan."""

    def __init__(self, step: Any, state: Any):
        self.state = jax.tree.map(jnp.copy, state)
        self.scanned = train.Scanned(step, rl.EmptyBatches())

    def run(self) -> Any:
        """Make all updates."""
        self.state, metrics = self.scanned(self.state, 0, UPDATES)
        return jax.device_get(metrics)


class TorchAgent:
    """The same agent as a loop over gymnasium, with a buffer of NumPy and an eager network."""

    def __init__(self, params: Any):
        import gymnasium
        import torch
        from torch import nn

        torch.set_num_threads(2)
        self.torch = torch
        sizes = (4, *HIDDEN, 2)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        for layer, own in zip(layers, (params["hidden1"], params["hidden2"], params["output"]), strict=True):
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(np.array(own["kernel"]).T.copy()))
                layer.bias.copy_(torch.from_numpy(np.array(own["bias"])))
        self.network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.target = copy.deepcopy(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE, eps=1e-8)
        self.random = np.random.default_rng(0)
        self.environment = gymnasium.make("CartPole-v1")
        self.observation, _ = self.environment.reset(seed=0)
        self.rows = {
            "observation": np.zeros((CAPACITY, 4), np.float32),
            "next_observation": np.zeros((CAPACITY, 4), np.float32),
            "action": np.zeros(CAPACITY, np.int64),
            "reward": np.zeros(CAPACITY, np.float32),
            "discount": np.zeros(CAPACITY, np.float32),
        }
        self.frames = 0
        for _ in range(CAPACITY):
            self.act(epsilon=1.0)

    def run(self) -> None:
        """Make all updates."""
        for number in range(1, UPDATES + 1):
            for _ in range(FRAMES_PER_UPDATE):
                self.act(EPSILON)
            index = self.random.integers(CAPACITY, size=BATCH)
            self.update({name: rows[index] for name, rows in self.rows.items()})
            if number % COPY_EVERY == 0:
                self.target.load_state_dict(self.network.state_dict())

    def act(self, epsilon: float) -> None:
        """Act once and keep the transition."""
        if self.random.random() < epsilon:
            action = int(self.random.integers(2))
        else:
            with self.torch.no_grad():
                action = int(self.network(self.torch.from_numpy(self.observation[None])).argmax())
        following, reward, terminated, truncated, _ = self.environment.step(action)
        row = (self.observation, following, action, reward, DISCOUNT * (not terminated))
        for rows, value in zip(self.rows.values(), row, strict=True):
            rows[self.frames % CAPACITY] = value
        self.frames += 1
        self.observation = following
        if terminated or truncated:
            self.observation, _ = self.environment.reset()

    def update(self, batch: dict[str, np.ndarray]) -> float:
        """Learn from a batch; return the loss."""
        x = {name: self.torch.from_numpy(rows) for name, rows in batch.items()}
        with self.torch.no_grad():
            target = x["reward"] + x["discount"] * self.target(x["next_observation"]).max(dim=1).values
        q = self.network(x["observation"]).gather(1, x["action"][:, None])[:, 0]
        loss = self.torch.nn.functional.smooth_l1_loss(q, target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def check_equal(agent: rl.DeepQ, state: rl.AgentState, theirs: TorchAgent) -> None:
    """Check that the losses of two updates with the same batch are equal."""
    rows = jax.device_get(agent.buffer.sample(state.replay, jax.random.key(0), BATCH))
    learner, update = state.learner, jax.jit(agent.update)
    for _ in range(2):
        learner, metrics = update(learner, {name: row for name, row in rows.items() if name != "index"})
        batch = {name: np.array(rows[name]) for name in theirs.rows}
        loss = theirs.update({**batch, "action": batch["action"].astype(np.int64)})
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-4)
