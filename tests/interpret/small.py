"""Small networks with the same weights in torch, with a module for each rectified unit, and as functions of JAX."""

from collections import OrderedDict
from functools import partial

import einops
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jaxdl.nn import max_pool

SHAPE = (2, 8, 8, 2)
KINDS = ("lenet", "vgg", "resnet")


def images():
    return np.random.default_rng(0).normal(size=SHAPE)


def torch_network(torch, kind):
    """Build a network of sequential modules; its residual branch, if any, is the module ``block``."""
    nn = torch.nn
    torch.manual_seed(0)
    conv = partial(nn.Conv2d, kernel_size=3, padding=1)

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.relu1, self.conv2, self.relu2 = conv(4, 4), nn.ReLU(), conv(4, 4), nn.ReLU()

        def forward(self, x):
            return self.relu2(x + self.conv2(self.relu1(self.conv1(x))))

    parts = {
        "lenet": [conv(2, 3), nn.ReLU(), nn.MaxPool2d(2), conv(3, 4), nn.ReLU(), nn.MaxPool2d(2)],
        "vgg": [conv(2, 3), nn.ReLU(), conv(3, 4), nn.ReLU(), nn.MaxPool2d(2), conv(4, 4), nn.ReLU(), nn.MaxPool2d(2)],
        "resnet": [conv(2, 4), nn.ReLU(), nn.MaxPool2d(2), Residual(), nn.MaxPool2d(2)],
    }[kind]
    head = [nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3)]
    return nn.Sequential(OrderedDict((f"m{i}", part) for i, part in enumerate(parts + head))).double().eval()


def function(network):
    """Return the logits of a torch network as a function of images ``[B, H, W, C]``; each module's output is named."""
    state = {name: jnp.asarray(value.detach().numpy()) for name, value in network.state_dict().items()}

    def conv(x, path):
        kernel = jnp.transpose(state[f"{path}.weight"], (2, 3, 1, 0))
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y + state[f"{path}.bias"][None, None, None]

    def apply(module, path, x):
        match type(module).__name__:
            case "Conv2d":
                return conv(x, path)
            case "ReLU":
                return jax.nn.relu(x)
            case "MaxPool2d":
                return max_pool(x, 2)
            case "Residual":
                return jax.nn.relu(x + conv(jax.nn.relu(conv(x, f"{path}.conv1")), f"{path}.conv2"))
            case "Flatten":
                return einops.rearrange(x, "b h w c -> b (c h w)")
            case "Linear":
                return x @ state[f"{path}.weight"].T + state[f"{path}.bias"][None]

    def f(x):
        for path, module in network.named_children():
            x = checkpoint_name(apply(module, path, x), path)
        return x

    return f
