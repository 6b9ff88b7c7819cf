"""Attribution against captum: integrated gradients, occlusion and SmoothGrad of a convolutional network.

Three convolutions with pooling and a dense layer, images of 32 x 32, batch 8, the same weights in torch. Maps are shown
equal before anything is timed; those of SmoothGrad without noise. Both sides evaluate as many copies at a time as is
fastest of those tried: captum all steps of integrated gradients, 16 windows of occlusion and all samples of SmoothGrad,
we 1, 16 and 1. The rows give the temporary memory of our program, and that with all copies in one chunk.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen

from experiments.benchmarks.timing import Case, Missing
from jaxdl import interpret
from jaxdl.nn import Conv, max_pool

BATCH, SIZE, WIDTHS, CLASSES = 8, 32, (16, 32, 64), 10
TARGET, STEPS, WINDOW, STRIDE, NOISE = 3, 50, 8, 4, 0.15
WINDOWS = ((SIZE - WINDOW) // STRIDE + 1) ** 2
ROUNDS, CHUNK = 5, 1


class Net(linen.Module):
    """Three convolutions 3 x 3 with max pooling, and a dense layer."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[B, 32, 32, 3]`` to logits ``[B, 10]``."""
        for width in WIDTHS:
            x = max_pool(linen.relu(Conv(width, (3, 3), padding=1)(x)), 2)
        return linen.Dense(CLASSES)(x.reshape(len(x), -1))


def titles() -> list[str]:
    """Name the cases."""
    return [f"integrated gradients, {STEPS} steps", f"occlusion, {WINDOWS} windows", f"SmoothGrad, {STEPS} samples"]


def cases() -> Iterator[Case | Missing]:
    """Yield every method against captum's."""
    if not (importlib.util.find_spec("torch") and importlib.util.find_spec("captum")):
        yield Missing("attribution", "captum")
        return
    x = np.random.default_rng(0).normal(size=(BATCH, SIZE, SIZE, 3)).astype(np.float32)
    variables = jax.jit(Net().init)(jax.random.key(0), x)
    score, key = interpret.target_score(partial(Net().apply, variables), TARGET), jax.random.key(1)
    smooth = partial(interpret.smooth_grad, score, key=key, samples=STEPS)
    methods: dict[str, tuple[Callable[..., Any], int]] = {
        f"integrated gradients, {STEPS} steps": (
            lambda x, chunk_size=CHUNK: interpret.integrated_gradients(score, x, steps=STEPS, chunk_size=chunk_size)[0],
            STEPS,
        ),
        f"occlusion, {WINDOWS} windows": (
            lambda x, chunk_size=16: interpret.occlusion(score, x, WINDOW, STRIDE, chunk_size=chunk_size),
            WINDOWS,
        ),
        f"SmoothGrad, {STEPS} samples": (
            lambda x, chunk_size=CHUNK, stddev=NOISE: smooth(x, stddev=stddev, chunk_size=chunk_size),
            STEPS,
        ),
    }
    peers = captum_methods(jax.device_get(variables["params"]), x)
    for (name, (method, copies)), (theirs, silent) in zip(methods.items(), peers, strict=True):
        quiet = partial(method, stddev=0.0) if "Smooth" in name else method
        compared, got = np.moveaxis(silent().detach().numpy(), 1, -1), np.asarray(jax.jit(quiet)(x))
        np.testing.assert_allclose(got, compared, rtol=0, atol=1e-4 * np.abs(compared).max())
        program, whole = (
            jax.jit(partial(method, **options)).lower(x).compile() for options in ({}, {"chunk_size": copies})
        )
        memory = {"temporary_mib": mebibytes(program), "temporary_mib_in_one_chunk": mebibytes(whole)}
        ours = partial(lambda program: jax.block_until_ready(program(x)), program)
        yield Case(name, "captum", ours, theirs, 1.0, ROUNDS, lambda row, memory=memory: memory)


def mebibytes(program: Any) -> float:
    """Return the temporary memory of a compiled program."""
    return round(program.memory_analysis().temp_size_in_bytes / 2**20, 1)


def captum_methods(params: Any, images: np.ndarray) -> list[tuple[Callable[[], Any], Callable[[], Any]]]:
    """Make the methods of captum, and for the comparison the same without noise."""
    import torch
    from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network, x = TorchNet(torch, params).module, torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    integrated, occlusion = IntegratedGradients(network).attribute, Occlusion(network).attribute
    tunnel = partial(NoiseTunnel(Saliency(network)).attribute, x, nt_samples=STEPS, target=TARGET, abs=False)
    integrate = partial(integrated, x, target=TARGET, n_steps=STEPS)
    occlude = partial(occlusion, x, (3, WINDOW, WINDOW), (3, STRIDE, STRIDE), target=TARGET, perturbations_per_eval=16)
    return [(integrate, integrate), (occlude, occlude), (partial(tunnel, stdevs=NOISE), partial(tunnel, stdevs=0.0))]


class TorchNet:
    """The network in torch, which flattens in our order."""

    def __init__(self, torch: Any, params: Any):
        nn, parts = torch.nn, []
        for number in range(len(WIDTHS)):
            layer = params[f"Conv_{number}"]
            conv = nn.Conv2d(*layer["kernel"].shape[2:], 3, padding=1)
            self.fill(torch, conv, np.transpose(layer["kernel"], (3, 2, 0, 1)), layer["bias"])
            parts += [conv, nn.ReLU(), nn.MaxPool2d(2)]
        dense = nn.Linear(*params["Dense_0"]["kernel"].shape)
        side = SIZE // 2 ** len(WIDTHS)
        kernel = params["Dense_0"]["kernel"].reshape(side, side, WIDTHS[-1], CLASSES)
        self.fill(torch, dense, np.transpose(kernel, (3, 2, 0, 1)).reshape(CLASSES, -1), params["Dense_0"]["bias"])
        self.module = nn.Sequential(*parts, nn.Flatten(), dense).eval()

    @staticmethod
    def fill(torch: Any, layer: Any, weight: np.ndarray, bias: np.ndarray) -> None:
        """Set the weights of a layer."""
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
            layer.bias.copy_(torch.from_numpy(np.array(bias)))
