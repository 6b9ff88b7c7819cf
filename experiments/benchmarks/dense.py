"""Networks with a result for every pixel, a training step, against torch.

U-Net as published, one image of 572 x 572 pixels and the labels of 388 x 388, cross-entropy with momentum. torch runs
eager, channels last. Both start from the same weights; all parameters after the first step are shown equal before
anything is timed.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from jaxdl import models, optim, tasks, train, tree

RATE, MOMENTUM, ROUNDS = 1e-3, 0.9, 5
UNET = "U-Net, 572 x 572, batch 1, training"


def titles() -> list[str]:
    """Name the cases."""
    return [title for title, _ in CASES]


def cases() -> Iterator[Case | Missing]:
    """Yield every case."""
    for title, make in CASES:
        yield make(title)


def unet(title: str) -> Case | Missing:
    """Make a training step of U-Net on both sides."""
    if not importlib.util.find_spec("torch"):
        return Missing(title, "torch")
    generator = np.random.default_rng(0)
    batch = {
        "image": generator.normal(size=(1, 572, 572, 1)).astype(np.float32),
        "label": generator.integers(0, 2, (1, 388, 388)).astype(np.int32),
    }
    model = models.UNet(dropout_rate=0.0)
    task, optimizer = tasks.segmentation(model), optim.momentum(RATE, MOMENTUM)
    variables = jax.device_get(task.init(jax.random.key(0), batch))
    state = train.TrainState.create(variables, optimizer, jax.random.key(1))
    sides = Step(train.make_step(task.loss, optimizer), state, batch), TorchUNet(variables["params"], batch)
    for side in sides:
        side.train()
    mine, theirs, start = (tree.flatten(params) for params in (sides[0].params, sides[1].params, variables["params"]))
    for path, leaf in mine.items():
        change, error = (np.linalg.norm(leaf - other) for other in (start[path], theirs[path]))
        if error > 0.1 * change + 1e-6:
            raise AssertionError(f"{path} changed by {change:g}, with a difference of {error:g}")
    return Case(title, "torch", sides[0].train, sides[1].train, 1.0, ROUNDS)


class Step:
    """Our compiled training step."""

    def __init__(self, step: Callable, state: train.TrainState, batch: dict[str, Any]):
        self.state, self.batch = jax.device_put((state, batch))
        self.step = jax.jit(step, donate_argnums=0).lower(self.state, self.batch).compile()

    def train(self) -> None:
        """Run one step."""
        self.state, _ = self.step(self.state, self.batch)
        jax.block_until_ready(self.state)

    @property
    def params(self) -> Any:
        """The parameters on the host."""
        return jax.device_get(self.state.params)


class TorchUNet:
    """The published network in torch, eager and channels last, with the names of our layers."""

    def __init__(self, params: Any, batch: dict[str, np.ndarray]):
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.torch, self.scales = torch, sum(name.startswith("down") for name in params)
        # Kernels [H, W, I, O] and those of transposed convolutions [H, W, O, I] both have their dimensions reversed.
        self.weights = {path: self.parameter(leaf) for path, leaf in tree.flatten(params).items()}
        self.optimizer = torch.optim.SGD(self.weights.values(), RATE, MOMENTUM)
        self.image = torch.from_numpy(np.moveaxis(batch["image"], -1, 1))
        self.label = torch.from_numpy(batch["label"].astype(np.int64))

    def parameter(self, leaf: np.ndarray) -> Any:
        """Convert a leaf of ours to a parameter."""
        array = self.torch.from_numpy(np.array(leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf))
        if array.ndim == 4:
            array = array.contiguous(memory_format=self.torch.channels_last)
        return self.torch.nn.Parameter(array)

    def double(self, x: Any, name: str) -> Any:
        """Apply two convolutions with ReLU."""
        functional = self.torch.nn.functional
        for conv in ("conv1", "conv2"):
            weights = (self.weights[f"{name}/{conv}/{part}"] for part in ("kernel", "bias"))
            x = functional.relu(functional.conv2d(x, *weights))
        return x

    def logits(self, x: Any) -> Any:
        """Map images to logits, channels first."""
        functional, skips = self.torch.nn.functional, []
        for scale in range(1, self.scales + 1):
            x = self.double(x if scale == 1 else functional.max_pool2d(x, 2), f"down{scale}")
            skips.append(x)
        for scale in range(self.scales - 1, 0, -1):
            weights = (self.weights[f"upconv{scale}/{part}"] for part in ("kernel", "bias"))
            x = functional.conv_transpose2d(x, *weights, stride=2)
            cut = (skips[scale - 1].shape[-1] - x.shape[-1]) // 2
            x = self.double(self.torch.cat([skips[scale - 1][..., cut:-cut, cut:-cut], x], dim=1), f"up{scale}")
        return functional.conv2d(x, self.weights["output/kernel"], self.weights["output/bias"])

    def train(self) -> None:
        """Run one step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.torch.nn.functional.cross_entropy(self.logits(self.image), self.label).backward()
        self.optimizer.step()

    @property
    def params(self) -> dict[str, Any]:
        """The parameters in our layout."""
        arrays = {path: weight.detach().numpy() for path, weight in self.weights.items()}
        return {path: array.transpose(2, 3, 1, 0) if array.ndim == 4 else array for path, array in arrays.items()}


CASES: list[tuple[str, Callable[[str], Case | Missing]]] = [(UNET, unet)]
"""The titles, and what makes their cases."""
