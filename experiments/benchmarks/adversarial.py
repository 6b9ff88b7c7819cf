"""Two players, a training step, against torch.

DCGAN as published, images of 64 x 64 pixels: an update of the discriminator and one of the generator, both with Adam,
as in PyTorch's example, which makes its images once for both. torch runs eager, channels last. Both start from the same
weights and have the same latent vectors in the first step; all parameters after it are shown equal before anything is
timed.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from jaxdl import models, optim, pretrained, tasks, train, tree

BATCH, LATENT, RATE, ROUNDS = 16, 100, 2e-4, 5
DCGAN = f"DCGAN, 64 x 64, batch {BATCH}, training"
SOURCE = "pytorch_examples"


def titles() -> list[str]:
    """Name the cases."""
    return [title for title, _ in CASES]


def cases() -> Iterator[Case | Missing]:
    """Yield every case."""
    for title, make in CASES:
        yield make(title)


def dcgan(title: str) -> Case | Missing:
    """Make a step of both players on both sides."""
    if not importlib.util.find_spec("torch"):
        return Missing(title, "torch")
    ours, theirs = Game(), TorchGame()
    start = ours.entries
    theirs.load(start)
    for side in (ours, theirs):
        side.train()
    mine, others = ours.entries, theirs.entries
    for name, leaf in mine.items():
        if "running" in name or "num_batches" in name:
            continue
        # The first step of Adam is the sign of the gradient, which rounding errors turn where it is nearly 0.
        turned = np.mean(np.abs(leaf - others[name]) > RATE / 2)
        if turned > 0.02 or np.array_equal(leaf, start[name]):
            raise AssertionError(f"{name}: expected the step of torch, got another one for {turned:.1%} of the numbers")
    return Case(title, "torch", ours.train, theirs.train, 1.3, ROUNDS)


def latent(step: int) -> np.ndarray:
    """Return the latent vectors of a step of ours."""
    key, _ = jax.random.split(jax.random.fold_in(jax.random.key(1), step))
    return np.asarray(jax.random.normal(key, (BATCH, LATENT)))


def images() -> np.ndarray:
    """Draw images ``[BATCH, 64, 64, 3]``."""
    return np.random.default_rng(0).uniform(-1, 1, (BATCH, 64, 64, 3)).astype(np.float32)


class Game:
    """Our compiled step."""

    def __init__(self) -> None:
        networks = {name: models.create(f"dcgan_{name}") for name in ("generator", "discriminator")}
        game = tasks.gan(networks["generator"], networks["discriminator"], latent_size=LATENT)
        optimizers = {player: optim.adam(RATE, b1=0.5) for player in game.losses}
        batch = {"image": images()}
        variables = game.init(jax.random.key(0), batch)
        state = train.TrainState.create(variables, train.combine_optimizers(optimizers), jax.random.key(1))
        self.tables = {name: pretrained.rules_of(network, SOURCE) for name, network in networks.items()}
        self.state, self.batch = jax.device_put((state, batch))
        step = jax.jit(train.make_alternating_step(game.losses, optimizers), donate_argnums=0)
        self.step = step.lower(self.state, self.batch).compile()

    def train(self) -> None:
        """Run one step."""
        self.state, _ = self.step(self.state, self.batch)
        jax.block_until_ready(self.state)

    @property
    def entries(self) -> dict[str, np.ndarray]:
        """All variables under the names of torch."""
        found = {}
        for player, table in self.tables.items():
            own = tree.flatten(tasks.player_variables(jax.device_get(self.state.variables), player))
            named = pretrained.to_theirs(own, table)
            found |= {f"{player}.{name}": np.array(leaf) for name, leaf in named.items()}
        return found


class TorchGame:
    """The example of PyTorch, eager and channels last."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.torch = torch
        self.players = torch.nn.ModuleDict({"generator": self.generator(), "discriminator": self.discriminator()})
        self.players.to(memory_format=torch.channels_last)
        self.optimizers = {
            name: torch.optim.Adam(player.parameters(), RATE, betas=(0.5, 0.999))
            for name, player in self.players.items()
        }
        real = torch.from_numpy(np.moveaxis(images(), -1, 1).copy())
        self.real = real.contiguous(memory_format=torch.channels_last)
        self.z = torch.from_numpy(latent(0).copy())[:, :, None, None]

    def generator(self) -> Any:
        """Build the generator."""
        nn, layers = self.torch.nn, []
        for number, (before, width) in enumerate(((LATENT, 512), (512, 256), (256, 128), (128, 64))):
            stride, padding = (2, 1) if number else (1, 0)
            layers += [nn.ConvTranspose2d(before, width, 4, stride, padding, bias=False), nn.BatchNorm2d(width)]
            layers.append(nn.ReLU(inplace=True))
        output = nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False)
        return nn.ModuleDict({"main": nn.Sequential(*layers, output, nn.Tanh())})

    def discriminator(self) -> Any:
        """Build the discriminator, without its sigmoid."""
        nn, layers = self.torch.nn, []
        for number, (before, width) in enumerate(((3, 64), (64, 128), (128, 256), (256, 512))):
            layers.append(nn.Conv2d(before, width, 4, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(width)] if number else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        return nn.ModuleDict({"main": nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 0, bias=False))})

    def load(self, entries: dict[str, np.ndarray]) -> None:
        """Take over weights by their names."""
        self.players.load_state_dict({name: self.torch.tensor(leaf) for name, leaf in entries.items()})

    def train(self) -> None:
        """Run one step."""
        functional, torch = self.torch.nn.functional, self.torch
        generate, discriminate = (self.players[name]["main"] for name in ("generator", "discriminator"))

        def loss(logits: Any, label: float) -> Any:
            return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

        self.optimizers["discriminator"].zero_grad(set_to_none=True)
        loss(discriminate(self.real), 1.0).backward()
        fake = generate(self.z)
        loss(discriminate(fake.detach()), 0.0).backward()
        self.optimizers["discriminator"].step()
        self.optimizers["generator"].zero_grad(set_to_none=True)
        loss(discriminate(fake), 1.0).backward()
        self.optimizers["generator"].step()

    @property
    def entries(self) -> dict[str, np.ndarray]:
        """All variables by name."""
        return {name: value.detach().numpy().copy() for name, value in self.players.state_dict().items()}


CASES: list[tuple[str, Callable[[str], Case | Missing]]] = [(DCGAN, dcgan)]
"""The titles, and what makes their cases."""
