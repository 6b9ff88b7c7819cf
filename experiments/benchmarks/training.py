"""A quarter of MNIST's epoch against the same network in torch: step by step, as one scan, and 16 runs at once.

The images are random numbers, since only the time is looked at. Both sides start from the same weights, and their
losses over the first three steps are shown equal before anything is timed. torch runs its best loop here: fused Adam,
eager, one gather from memory a batch, channels last.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from jaxdl import data, models, optim, tasks, train, tree

RATE = 1e-3
RUNS = 16


Goals = tuple[float | None, float | None, float | None]


def networks() -> Iterator[tuple[str, tuple[str, dict[str, Any]], tuple[int, ...], int, int, Goals]]:
    """Yield every network with every batch size: title, name and fields, shape, examples, batch size, goals."""
    large = ("mlp 784-64-64-10", ("mlp", {"hidden_sizes": (64, 64)}), (28, 28, 1), (None, 0.45, 0.25))
    tiny = ("tiny mlp 32-32-32-10", ("mlp", {"hidden_sizes": (32, 32)}), (32,), (None, 0.10, 0.05))
    lenet = ("lenet", ("lenet5", {}), (32, 32, 1), (1.0, 1.0, None))
    for (title, model, shape, goals), batch_sizes in ((large, (32, 64, 128)), (tiny, (32,)), (lenet, (32, 64, 128))):
        for batch_size in batch_sizes:
            yield f"{title}, batch {batch_size}", model, shape, 15_000, batch_size, goals


def titles() -> list[str]:
    """Name the cases."""
    forms = ("step by step", "one scan", f"{RUNS} runs")
    return [f"{case}, {form}" for case, *_ in networks() for form in forms]


def cases() -> Iterator[Case | Missing]:
    """Yield every network with every batch size in every form."""
    for case, (name, changes), shape, size, batch_size, goals in networks():
        if importlib.util.find_spec("torch") is None:
            yield Missing(case, "torch")
        else:
            yield from network_cases(case, models.create(name, **changes), shape, size, batch_size, goals)


def network_cases(case: str, model: Any, shape: tuple, size: int, batch_size: int, goals: tuple) -> Iterator[Case]:
    """Yield one network's cases: step by step, one scan, and ``RUNS`` runs under vmap against runs in sequence."""
    generator = np.random.default_rng(0)
    arrays = {
        "image": generator.normal(size=(size, *shape)).astype(np.float32),
        "label": generator.integers(0, 10, size).astype(np.int32),
    }
    loader = data.Loader(arrays, batch_size)
    task, optimizer = tasks.classification(model), optim.adam(RATE)
    state = train.TrainState.create(task.init(jax.random.key(0), loader.batch(0)), optimizer, jax.random.key(1))
    step = train.make_step(task.loss, optimizer)
    theirs = TorchRun(state.params, loader)
    ours = partial(OurRun, loader=loader)
    ours(step, state, scan=False).check_equal(TorchRun(state.params, loader))
    yield Case(f"{case}, step by step", "torch", ours(step, state, scan=False).epoch, theirs.epoch, goals[0])
    yield Case(f"{case}, one scan", "torch", ours(step, state, scan=True).epoch, theirs.epoch, goals[1])
    if goals[2] is not None and batch_size in (32, 64):
        states = jax.vmap(lambda key: state.replace(key=key))(jax.random.split(jax.random.key(2), RUNS))
        together = ours(jax.vmap(step, in_axes=(0, None)), states, scan=True)
        yield Case(f"{case}, {RUNS} runs", "torch", together.epoch, partial(repeat, theirs.epoch, RUNS), goals[2], 3)


def repeat(work: Callable[[], object], times: int) -> None:
    """Run the work several times in sequence."""
    for _ in range(times):
        work()


class OurRun:
    """Our side: an epoch at a time through the training engine."""

    def __init__(self, step: train.Step, state: Any, *, loader: data.Loader, scan: bool):
        self.state = jax.tree.map(lambda leaf: leaf.copy(), state)
        self.loader = loader
        self.runner = (train.Scanned if scan else train.Single)(step, loader)

    def epoch(self) -> dict[str, np.ndarray]:
        """Train for one epoch."""
        return self.steps(self.loader.steps_per_epoch)

    def steps(self, count: int) -> dict[str, np.ndarray]:
        """Train for a number of steps."""
        self.state, metrics = self.runner(self.state, 0, count)
        return jax.device_get(metrics)

    def check_equal(self, other: "TorchRun") -> None:
        """Check that the losses of both sides are equal."""
        np.testing.assert_allclose(self.steps(3)["loss"], other.losses(3), rtol=1e-4)


class TorchRun:
    """The same network, data and optimizer in torch."""

    def __init__(self, params: Any, loader: data.Loader, device: str = "cpu"):
        import torch

        torch.set_num_threads(2)
        self.torch, self.loader = torch, loader
        network = torch_network({name: np.asarray(leaf) for name, leaf in tree.flatten(params).items()})
        self.net = network.to(device, memory_format=torch.channels_last)  # the faster layout for convolutions here
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=RATE, eps=1e-8, fused=True)
        image = loader.arrays["image"]
        # An image in torch's order, channels first, stored channels last.
        self.image = torch.from_numpy(np.moveaxis(image, -1, 1) if image.ndim == 4 else image).to(device)
        self.label = torch.from_numpy(loader.arrays["label"].astype(np.int64)).to(device)

    def epoch(self) -> None:
        """Train for one epoch."""
        self.losses(self.loader.steps_per_epoch)

    def losses(self, count: int) -> np.ndarray:
        """Train for a number of steps; return the losses."""
        cross_entropy = self.torch.nn.functional.cross_entropy
        losses = []
        for index in self.torch.from_numpy(self.loader.indices(0, count)).to(self.image.device):
            self.optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(self.net(self.image[index]), self.label[index])
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        return self.torch.stack(losses).cpu().numpy()


def torch_network(params: dict[str, np.ndarray]) -> Any:
    """Build the network of these parameters in torch: LeNet if there are convolutions, else an MLP."""
    import torch
    from torch import nn

    def layer(name: str) -> nn.Module:
        kernel = params[f"{name}/kernel"]
        if kernel.ndim == 4:
            module, weight = nn.Conv2d(*kernel.shape[2:], 5), kernel.transpose(3, 2, 0, 1)
        else:
            if name == "dense1":  # its inputs are in torch's order, channels first
                kernel = kernel.reshape(5, 5, 16, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            module, weight = nn.Linear(*kernel.shape), kernel.T
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(weight.copy()))
            module.bias.copy_(torch.from_numpy(params[f"{name}/bias"].copy()))
        return module

    if "conv1/kernel" in params:
        maps = [layer("conv1"), nn.ReLU(), nn.MaxPool2d(2), layer("conv2"), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(*maps, layer("dense1"), nn.ReLU(), layer("dense2"), nn.ReLU(), layer("output"))
    return nn.Sequential(nn.Flatten(), layer("hidden1"), nn.ReLU(), layer("hidden2"), nn.ReLU(), layer("output"))
