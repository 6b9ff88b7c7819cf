"""Vanilla cells, GRU and LSTM over whole sequences, forward and with all gradients, against flax and torch.

The same weights and inputs go to every peer, batch first. Outputs and the gradients of the input and of every weight
are shown equal before anything is timed. The gradient is that of the product with a random array.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from jaxdl.nn import cells, recurrent

SHAPES = ((32, 128, 256), (64, 512, 128), (16, 50, 64))  # batch, time, size of input and state
CELLS = {"vanilla": cells.Vanilla, "gru": cells.GRU, "lstm": cells.LSTM}
PEERS = {"vanilla": flax.linen.SimpleCell, "gru": flax.linen.GRUCell, "lstm": flax.linen.OptimizedLSTMCell}
GOALS = {"vanilla": 1.0, "gru": 1.0, "lstm": 1.3}  # of torch; of flax all are 1


def cases() -> Iterator[Case | Missing]:
    """Yield every cell at every size, forward and with gradients, against both peers."""
    for shape in SHAPES:
        for name in CELLS:
            yield from cell_cases(name, *shape)


def cell_cases(name: str, batch: int, steps: int, size: int) -> Iterator[Case | Missing]:
    """Yield the four cases of a cell at one size."""
    title = f"{name}, batch {batch}, {steps} steps of {size}"
    cell, generator = CELLS[name](size), np.random.default_rng(0)
    parameters = cells.init(jax.random.key(0), cell, size)
    # Small changes, so that the network stays on the calm side: chaos would make much of the last bits.
    parameters = {
        key: leaf + 0.01 * generator.normal(size=leaf.shape).astype(np.float32) for key, leaf in parameters.items()
    }
    x, weights = generator.normal(size=(2, batch, steps, size)).astype(np.float32)
    ours = compiled(lambda parameters, x: recurrent.scan(cell, parameters, x)[1], parameters, x, weights)
    peer = flax.linen.RNN(PEERS[name](size))
    theirs = compiled(partial(flax_scan, peer, name), parameters, x, weights)
    check_equal(ours, theirs)
    for kind, goal in (("forward", 1.0), ("forward and backward", 1.0)):
        yield Case(f"{title}, {kind}", "flax", partial(finish, ours[kind]), partial(finish, theirs[kind]), goal)
    if importlib.util.find_spec("torch") is None:
        yield Missing(title, "torch")
        return
    theirs = torch_runs(name, parameters, x, weights)
    check_equal(ours, theirs)
    for kind in ("forward", "forward and backward"):
        yield Case(f"{title}, {kind}", "torch", partial(finish, ours[kind]), theirs[kind], GOALS[name])


Runs = dict[str, Callable[[], Any]]


def compiled(scan: Callable, parameters: dict, x: np.ndarray, weights: np.ndarray) -> Runs:
    """Compile a scan, and its value with the gradients of parameters and input."""

    def loss(parameters, x, weights):
        y = scan(parameters, x)
        return jnp.sum(y * weights), y

    @jax.jit
    def both(parameters, x, weights):
        (_, y), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(parameters, x, weights)
        return y, *gradients

    arrays = jax.device_put((parameters, x, weights))
    return {"forward": partial(jax.jit(scan), *arrays[:2]), "forward and backward": partial(both, *arrays)}


def finish(run: Callable[[], Any]) -> None:
    """Run and wait."""
    jax.block_until_ready(run())


def check_equal(ours: Runs, theirs: Runs) -> None:
    """Stop unless outputs and gradients are the same numbers, up to float32 over many steps."""
    leaves = zip(*(jax.tree.leaves(runs["forward and backward"]()) for runs in (ours, theirs)), strict=True)
    for mine, other in leaves:
        scale = np.abs(np.asarray(other)).max()
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4 * scale)


def flax_scan(peer: flax.linen.RNN, name: str, parameters: dict, x: jax.Array) -> jax.Array:
    """Run the flax module with our parameters, one dense layer for every gate."""
    gates = {"vanilla": "i", "gru": "rzn", "lstm": "ifgo"}[name]
    kernels, recurrent_kernels, biases = (
        dict(zip(gates, jnp.split(parameters[key], len(gates), axis=-1), strict=True))
        for key in ("kernel", "recurrent_kernel", "bias")
    )
    if name == "vanilla":
        layers = {"i": {"kernel": kernels["i"], "bias": biases["i"]}, "h": {"kernel": recurrent_kernels["i"]}}
    else:
        layers = {f"i{gate}": {"kernel": kernel} for gate, kernel in kernels.items()}
        layers |= {f"h{gate}": {"kernel": kernel} for gate, kernel in recurrent_kernels.items()}
        for gate, bias in biases.items():
            layers[f"{'h' if name == 'lstm' else 'i'}{gate}"]["bias"] = bias
    if name == "gru":
        layers["hn"]["bias"] = parameters["recurrent_bias"]
    return peer.apply({"params": {"cell": layers}}, x)


def torch_runs(name: str, parameters: dict, x: np.ndarray, weights: np.ndarray) -> Runs:
    """Build the network in torch with our parameters; its gradients come back in our layout and order."""
    import torch

    torch.set_num_threads(2)
    size = x.shape[-1]
    network = {"vanilla": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[name](size, size, batch_first=True)
    second = np.zeros_like(parameters["bias"])
    if name == "gru":
        second[2 * size :] = parameters["recurrent_bias"]
    peers = (parameters["kernel"].T, parameters["recurrent_kernel"].T, parameters["bias"], second)
    with torch.no_grad():
        for leaf, value in zip(network.parameters(), peers, strict=True):
            leaf.copy_(torch.tensor(np.array(value)))
    inputs, cotangent = torch.tensor(x, requires_grad=True), torch.tensor(weights)

    def forward():
        with torch.no_grad():
            return network(inputs)[0]

    def both():
        inputs.grad = None
        network.zero_grad(set_to_none=True)
        y = network(inputs)[0]
        (y * cotangent).sum().backward()
        kernel, recurrent_kernel, bias, second_bias = (leaf.grad.numpy() for leaf in network.parameters())
        gradients = {"kernel": kernel.T, "recurrent_kernel": recurrent_kernel.T, "bias": bias}
        if name == "gru":
            gradients["recurrent_bias"] = second_bias[2 * size :]
        return y.detach().numpy(), gradients, inputs.grad.numpy()

    return {"forward": forward, "forward and backward": both}
