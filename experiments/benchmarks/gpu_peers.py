"""Torch's sides of ``bench gpu``, on the first GPU, or on the CPU without one."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import numpy as np

Call = Callable[[], object]
NVIDIA = jax.default_backend() == "gpu"


def torch_gpt2(smoke: bool, arrays: Mapping[str, np.ndarray]) -> Call:
    """Make the step of transformers' GPT-2, compiled, with torch's fused attention and AdamW."""
    import torch

    from experiments.benchmarks import peers

    library, device = peers.transformers(), "cuda" if NVIDIA else "cpu"
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "vocab_size": 128, "n_positions": 64} if smoke else {}
    none = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = library.GPT2Config(**sizes, **none, bos_token_id=0, eos_token_id=0, attn_implementation="sdpa")
    network = library.GPT2LMHeadModel(config).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=NVIDIA)
    token, target = (torch.tensor(arrays[name], dtype=torch.long, device=device) for name in ("token", "target"))
    forward = network if smoke else torch.compile(network)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            logits = forward(token, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        loss.backward()
        optimizer.step()
        wait()

    return run


def torch_resnet(smoke: bool, arrays: Mapping[str, np.ndarray]) -> Call:
    """Make the step of torchvision's network."""
    import torch

    from experiments.benchmarks import peers

    device, library = "cuda" if NVIDIA else "cpu", peers.torchvision().models
    network = (library.resnet18 if smoke else library.resnet50)(num_classes=1000).to(device)
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9)
    image = torch.tensor(arrays["image"], device=device).permute(0, 3, 1, 2)
    label = torch.tensor(arrays["label"], dtype=torch.long, device=device)
    forward = network if smoke else torch.compile(network)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(forward(image), label)
        loss.backward()
        optimizer.step()
        wait()

    return run


def torch_attention(arrays: np.ndarray) -> dict[str, Call]:
    """Make torch's fused attention, forward and with gradients."""
    import torch

    device = "cuda" if NVIDIA else "cpu"
    q, k, v = (torch.tensor(a, device=device, dtype=torch.bfloat16, requires_grad=True) for a in arrays)
    fused = partial(torch.nn.functional.scaled_dot_product_attention, q, k, v, is_causal=True)

    def forward() -> None:
        with torch.no_grad():
            fused()
        wait()

    def both() -> None:
        fused().float().sum().backward()
        wait()

    return {"forward": forward, "forward and backward": both}


def torch_adam(shapes: Mapping[str, tuple[int, ...]]) -> Call:
    """Make torch's fused update."""
    import torch

    leaves = [torch.ones(shape, device="cuda" if NVIDIA else "cpu", requires_grad=True) for shape in shapes.values()]
    for leaf in leaves:
        leaf.grad = torch.full_like(leaf, 0.1)
    optimizer = torch.optim.Adam(leaves, lr=1e-3, fused=True)

    def run() -> None:
        optimizer.step()
        wait()

    return run


def wait() -> None:
    """Wait for torch's kernels."""
    if NVIDIA:
        import torch

        torch.cuda.synchronize()
