"""Generative models: a training step of diffusion against torch, sampling of 64 images by DDIM, and a step of DCGAN.

The U-Net has five million parameters, for images of 32 x 32. Both sides start from the same weights, images, steps and
noise; predictions and the parameters after the first step are shown equal before anything is timed. torch runs eager,
channels last. A training step is that of the simple objective with Adam. Sampling takes ten steps of DDIM, in one
compiled program here, in a loop there; the images are shown equal.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks import adversarial
from experiments.benchmarks.timing import Case, Missing
from jaxdl import generative, models, optim, tree

BATCH, SIZE, CHANNELS, RATE = 16, 32, 3, 1e-3
IMAGES, STEPS = 64, 10
ROUNDS = 3
TRAINING = f"diffusion, U-Net of {SIZE} x {SIZE}, batch {BATCH}, training"
SAMPLING = f"diffusion, {IMAGES} images by {STEPS} steps of DDIM"


def titles() -> list[str]:
    """Name the cases."""
    return [TRAINING, SAMPLING, *adversarial.titles()]


def cases() -> Iterator[Case | Missing]:
    """Yield the training step and the sampling of a diffusion model."""
    if importlib.util.find_spec("torch") is None:
        yield from (Missing(title, "torch") for title in titles())
        return
    yield diffusion_training()
    yield diffusion_sampling()
    yield from adversarial.cases()


class DiffusionSides:
    """The same U-Net on both sides, with all layers drawn at random, also those that training starts from 0."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.torch, self.random = torch, np.random.default_rng(0)
        self.model = models.create("diffusion_unet")
        self.schedule = generative.cosine_schedule(1000)
        form = jax.eval_shape(self.model.init, jax.random.key(0), jnp.zeros((1, SIZE, SIZE, CHANNELS)))
        self.params = tree.map_with_path(self.draw, form["params"])
        self.leaves = {path: self.parameter(path, leaf) for path, leaf in tree.flatten(self.params).items()}

    def draw(self, path: str, form: jax.ShapeDtypeStruct) -> np.ndarray:
        """Draw a leaf that keeps signals near 1."""
        scale = 0.1 if len(form.shape) == 1 else np.prod(form.shape[:-1]) ** -0.5
        return (self.random.normal(size=form.shape) * scale + path.endswith("scale")).astype(np.float32)

    def parameter(self, path: str, leaf: np.ndarray) -> Any:
        """Return a leaf as a parameter of torch; kernels of convolutions lie channels last."""
        value = self.torch.tensor(to_torch(path, leaf))
        return (value.to(memory_format=self.torch.channels_last) if value.ndim == 4 else value).requires_grad_()

    def tensor(self, images: np.ndarray) -> Any:
        """Return images in torch's order, channels first, stored channels last."""
        return self.torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1)


def diffusion_training() -> Case:
    """Make the training step of both sides."""
    sides = DiffusionSides()
    torch, schedule = sides.torch, sides.schedule
    x0, noise = sides.random.normal(size=(2, BATCH, SIZE, SIZE, CHANNELS)).astype(np.float32)
    t = sides.random.integers(0, schedule.num_steps, BATCH).astype(np.int32)
    optimizer = optim.adam(RATE)

    def step(params: Any, opt_state: Any, x0: Any, t: Any, noise: Any) -> tuple[Any, Any, Any]:
        def loss(params: Any) -> Any:
            predict = partial(sides.model.apply, {"params": params}, train=True)
            return jnp.mean(generative.diffusion_loss(predict, schedule, x0, t, noise))

        value, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    arguments = jax.device_put((x0, t, noise))
    state = jax.device_put((sides.params, optimizer.init(sides.params)))
    program = jax.jit(step, donate_argnums=(0, 1)).lower(*state, *arguments).compile()
    held = {"state": state}

    def ours() -> Any:
        *held["state"], value = program(*held["state"], *arguments)
        return jax.block_until_ready(value)

    peer = torch.optim.Adam(sides.leaves.values(), RATE, fused=True)
    x, e = sides.tensor(x0), sides.tensor(noise)
    s, n = (torch.from_numpy(np.array(each)[t])[:, None, None, None] for each in (schedule.signal, schedule.noise))
    steps = torch.from_numpy(t)

    def theirs() -> Any:
        peer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(torch_unet(sides.model, sides.leaves, s * x + n * e, steps), e)
        loss.backward()
        peer.step()
        return loss.detach()

    before, losses = tree.flatten(sides.params), (ours(), theirs())
    np.testing.assert_allclose(*map(float, losses), rtol=1e-4)
    for path, leaf in tree.flatten(jax.device_get(held["state"][0])).items():
        # Of the first step of Adam, near the learning rate everywhere, only the signs of tiny gradients may differ.
        change = np.linalg.norm(leaf - before[path])
        error = np.linalg.norm(to_torch(path, leaf) - sides.leaves[path].detach().numpy())
        if error > 0.1 * change:
            raise AssertionError(f"torch: {path} changed by {change:g}, with a difference of {error:g}")
    return Case(TRAINING, "torch", ours, theirs, 1.3, ROUNDS, lambda row: {"parameters": tree.size(sides.params)})


def diffusion_sampling() -> Case:
    """Make the sampling of both sides."""
    sides = DiffusionSides()
    torch, schedule = sides.torch, sides.schedule
    start = sides.random.normal(size=(IMAGES, SIZE, SIZE, CHANNELS)).astype(np.float32)

    def sample(params: Any, x: Any) -> Any:
        denoise = generative.make_denoiser(partial(sides.model.apply, {"params": params}), schedule, limit=1.0)
        return generative.sample_ddim(denoise, schedule, x, STEPS)

    arguments = jax.device_put((sides.params, start))
    program = jax.jit(sample).lower(*arguments).compile()
    times = np.round(np.linspace(schedule.num_steps - 1, 0, STEPS)).astype(int)
    signal, noise = (
        np.append(np.asarray(each)[times], end) for each, end in ((schedule.signal, 1), (schedule.noise, 0))
    )

    def theirs() -> Any:
        x = sides.tensor(start)
        with torch.inference_mode():
            for i, t in enumerate(times):
                e = torch_unet(sides.model, sides.leaves, x, torch.full((IMAGES,), int(t)))
                x0 = ((x - float(noise[i]) * e) / float(signal[i])).clamp(-1, 1)
                e = (x - float(signal[i]) * x0) / float(noise[i])
                x = float(signal[i + 1]) * x0 + float(noise[i + 1]) * e
        return x

    # The first step divides by the signal of pure noise, 1/20,000: a few pixels keep that much of the rounding.
    difference = np.asarray(program(*arguments)) - theirs().movedim(1, -1).numpy()
    np.testing.assert_allclose(np.sqrt(np.mean(difference**2)), 0, atol=1e-3)
    np.testing.assert_allclose(difference, 0, atol=0.1)
    run = partial(program, *arguments)
    return Case(SAMPLING, "torch", lambda: jax.block_until_ready(run()), theirs, 1.0, ROUNDS)


def to_torch(path: str, leaf: np.ndarray) -> np.ndarray:
    """Arrange a leaf as torch does: outputs first, then inputs."""
    if path.endswith("kernel"):
        return np.ascontiguousarray(np.moveaxis(leaf, (-1, -2), (0, 1)))
    return np.array(leaf)


def torch_unet(model: models.DiffusionUNet, leaves: Mapping[str, Any], x: Any, t: Any, labels: Any = None) -> Any:
    """Run the U-Net of diffusion in torch, on images ``[B, C, H, W]``, with our weights as `to_torch` arranges them."""
    import torch
    from torch.nn import functional

    def dense(name: str, x: Any) -> Any:
        return functional.linear(x, leaves[f"{name}/kernel"], leaves[f"{name}/bias"])

    def conv(name: str, x: Any, **options: Any) -> Any:
        return functional.conv2d(x, leaves[f"{name}/kernel"], leaves[f"{name}/bias"], **options)

    def norm(name: str, x: Any) -> Any:
        return functional.group_norm(x, model.groups, leaves[f"{name}/scale"], leaves[f"{name}/bias"])

    def block(name: str, x: Any, c: Any) -> Any:
        h = conv(f"{name}/conv1", functional.silu(norm(f"{name}/norm1", x)), padding=1)
        h = h + dense(f"{name}/conditioning", functional.silu(c))[:, :, None, None]
        h = conv(f"{name}/conv2", functional.silu(norm(f"{name}/norm2", h)), padding=1)
        return h + (conv(f"{name}/shortcut", x) if x.shape[1] != h.shape[1] else x)

    def attention(name: str, x: Any) -> Any:
        pixels = norm(f"{name}/norm", x).flatten(2).transpose(1, 2)
        parts = dense(f"{name}/query_key_value", pixels).unflatten(-1, (3, model.num_heads, -1)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        return x + dense(f"{name}/output", y).transpose(1, 2).unflatten(2, x.shape[2:])

    def stage(name: str, x: Any, scale: int) -> Any:
        x = block(name, x, c)
        return attention(f"{name}_attention", x) if scale in model.attention_scales else x

    size = model.widths[0]
    frequencies = torch.exp(-np.log(10_000.0) * torch.arange(size // 2, dtype=x.dtype) / (size // 2))
    angles = t.to(x.dtype)[:, None] * frequencies
    c = dense("time2", functional.silu(dense("time1", torch.cat([angles.cos(), angles.sin()], dim=1))))
    if model.num_labels:
        c = c + leaves["label/embedding"][labels]
    x, scales = conv("input", x, padding=1), len(model.widths)
    skipped = [x]
    for scale in range(1, scales + 1):
        for i in range(1, model.num_blocks + 1):
            skipped.append(x := stage(f"down{scale}_block{i}", x, scale))
        if scale < scales:
            skipped.append(x := conv(f"downsample{scale}", x, stride=2, padding=1))
    x = block("middle2", attention("middle_attention", block("middle1", x, c)), c)
    for scale in range(scales, 0, -1):
        for i in range(1, model.num_blocks + 2):
            x = stage(f"up{scale}_block{i}", torch.cat([x, skipped.pop()], dim=1), scale)
        if scale > 1:
            x = conv(f"upsample{scale}", functional.interpolate(x, scale_factor=2.0), padding=1)
    return conv("output", functional.silu(norm("output_norm", x)), padding=1)
