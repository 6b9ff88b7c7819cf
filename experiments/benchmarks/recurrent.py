"""Vanilla cells, GRU and LSTM over sequences, forward and with all gradients, against flax, equinox and torch.

The same weights and inputs go to every peer, batch first. Outputs and the gradients of the input and of every weight
are shown equal before anything is timed. The gradient is that of the product with a random array.

On a CPU the LSTM is also measured with its batch spread over two CPU devices, which share the cores: XLA does not share
out the small products of a step. On a GPU torch's networks are cuDNN's, and so is one of our LSTMs.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells
from jaxdl.train import parallel

SHAPES = ((32, 128, 256), (64, 512, 128), (16, 50, 64))  # batch, time, size of input and state
CELLS = {"vanilla": cells.Vanilla, "gru": cells.GRU, "lstm": cells.LSTM}
PEERS = {"vanilla": flax.linen.SimpleCell, "gru": flax.linen.GRUCell, "lstm": flax.linen.OptimizedLSTMCell}
GOALS = {  # of torch; of the peers in JAX all are 1
    "cpu": {"vanilla": 1.0, "gru": 1.0, "lstm": 1.3, "lstm on two devices": 1.3},
    "gpu": {"lstm": 1.5, "lstm by cuDNN": 1.1},
}
KINDS = ("forward", "forward and backward")


def titles() -> list[str]:
    """Name the cases, with both forms of the LSTM that not every machine has."""
    names = (*CELLS, *(form for goals in GOALS.values() for form in goals if form not in CELLS))
    sizes = [f"batch {batch}, {steps} steps of {size}" for batch, steps, size in SHAPES]
    return [f"{name}, {size}, {kind}" for size in sizes for name in names for kind in KINDS]


def cases() -> Iterator[Case | Missing]:
    """Yield every cell at every size, forward and with gradients, against every peer."""
    with contextlib.suppress(RuntimeError):  # where JAX runs already the devices are what they are
        parallel.simulate_devices(2)
    for shape in SHAPES:
        for name in CELLS:
            yield from cell_cases(name, *shape)


def cell_cases(name: str, batch: int, steps: int, size: int) -> Iterator[Case | Missing]:
    """Yield the cases of a cell at one size, a pair per peer, and the other forms of the LSTM against torch."""
    title = f"batch {batch}, {steps} steps of {size}"
    cell, generator = CELLS[name](size), np.random.default_rng(0)
    parameters = cells.init_cell(jax.random.key(0), cell, size)
    # Small changes, so that the network stays on the calm side: chaos would make much of the last bits.
    parameters = {
        key: leaf + 0.01 * generator.normal(size=leaf.shape).astype(np.float32) for key, leaf in parameters.items()
    }
    x, weights = generator.normal(size=(2, batch, steps, size)).astype(np.float32)
    ours = compiled(partial(our_scan, cell), parameters, x, weights)
    for peer, scan in (("flax", flax_scan), ("equinox", equinox_scan)):
        if peer == "equinox" and name not in EQUINOX:
            continue
        if importlib.util.find_spec(peer) is None:
            yield Missing(f"{name}, {title}", peer)
        else:
            theirs = compiled(partial(scan, name, size), parameters, x, weights)
            yield from pair(f"{name}, {title}", peer, ours, theirs, 1.0)
    if importlib.util.find_spec("torch") is None:
        yield Missing(f"{name}, {title}", "torch")
        return
    theirs, goals = torch_runs(name, parameters, x, weights), GOALS.get(jax.default_backend(), {})
    for form, runs in {name: ours, **other_forms(name, cell, parameters, x, weights)}.items():
        yield from pair(f"{form}, {title}", "torch", runs, theirs, goals.get(form))


Runs = dict[str, Callable[[], Any]]


def pair(title: str, peer: str, ours: Runs, theirs: Runs, goal: float | None) -> Iterator[Case]:
    """Check that both sides are equal, then yield the forward case and that with gradients."""
    check_equal(ours, theirs)
    for kind in KINDS:
        yield Case(f"{title}, {kind}", peer, ours[kind], theirs[kind], goal)


def other_forms(name: str, cell: cells.Cell, parameters: dict, x: np.ndarray, weights: np.ndarray) -> dict[str, Runs]:
    """Compile the LSTM for two CPU devices, or as cuDNN's."""
    if name != "lstm":
        return {}
    if jax.default_backend() == "gpu":
        return {"lstm by cuDNN": compiled(partial(our_scan, cell, backend="cudnn"), parameters, x, weights)}
    if len(jax.devices()) < 2:
        return {}
    mesh = parallel.make_mesh({"data": 2}, devices=jax.devices()[:2])
    spread = parallel.place_batch({"x": x, "weights": weights}, mesh)
    arrays = parallel.place(parameters, mesh), spread["x"], spread["weights"]
    return {"lstm on two devices": compiled(partial(our_scan, cell), *arrays)}


def our_scan(cell: cells.Cell, parameters: dict, x: jax.Array, **options: str) -> jax.Array:
    """Run our cell."""
    return recurrent.scan(cell, parameters, x, **options)[1]


def compiled(scan: Callable, parameters: dict, x: np.ndarray, weights: np.ndarray) -> Runs:
    """Compile a scan, and its value with the gradients of parameters and input; calls block."""

    def loss(parameters, x, weights):
        y = scan(parameters, x)
        return jnp.sum(y * weights), y

    @jax.jit
    def both(parameters, x, weights):
        (_, y), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(parameters, x, weights)
        return y, *gradients

    arrays = jax.tree.map(jnp.asarray, (parameters, x, weights))
    forward = partial(jax.jit(scan), *arrays[:2])
    return dict(zip(KINDS, (partial(finish, forward), partial(finish, partial(both, *arrays))), strict=True))


def finish(run: Callable[[], Any]) -> Any:
    """Run, block, and return the result."""
    return jax.block_until_ready(run())


def check_equal(ours: Runs, theirs: Runs) -> None:
    """Check that outputs and gradients are equal, up to float32 over many steps."""
    leaves = zip(*(jax.tree.leaves(runs[KINDS[1]]()) for runs in (ours, theirs)), strict=True)
    for mine, other in leaves:
        expected = np.asarray(other.cpu() if hasattr(other, "cpu") else other)
        np.testing.assert_allclose(mine, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def flax_scan(name: str, size: int, parameters: dict, x: jax.Array) -> jax.Array:
    """Run flax's module with our parameters, a dense layer per gate."""
    peer = flax.linen.RNN(PEERS[name](size))
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


EQUINOX = {"gru": "GRUCell", "lstm": "LSTMCell"}


def equinox_scan(name: str, size: int, parameters: dict, x: jax.Array) -> jax.Array:
    """Scan equinox's cell, mapped over the batch, with our parameters."""
    import equinox

    cell = getattr(equinox.nn, EQUINOX[name])(size, size, key=jax.random.key(0))
    names = {"weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias": "bias", "bias_n": "recurrent_bias"}
    own = [field for field in names if hasattr(cell, field)]
    leaves = [parameters[names[field]].T for field in own]
    cell = equinox.tree_at(lambda cell: [getattr(cell, field) for field in own], cell, leaves)
    nothing = jnp.zeros((x.shape[0], size))

    def step(state, x):
        state = jax.vmap(cell)(x, state)
        return state, state[0] if name == "lstm" else state

    _, y = jax.lax.scan(step, (nothing, nothing) if name == "lstm" else nothing, jnp.swapaxes(x, 0, 1))
    return jnp.swapaxes(y, 0, 1)


def torch_runs(name: str, parameters: dict, x: np.ndarray, weights: np.ndarray) -> Runs:
    """Build the network in torch with our parameters; its gradients are returned in our layout and order."""
    import torch

    torch.set_num_threads(2)
    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    size = x.shape[-1]
    network = {"vanilla": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[name](size, size, batch_first=True)
    second = np.zeros_like(parameters["bias"])
    if name == "gru":
        second[2 * size :] = parameters["recurrent_bias"]
    peers = (parameters["kernel"].T, parameters["recurrent_kernel"].T, parameters["bias"], second)
    with torch.no_grad():
        for leaf, value in zip(network.parameters(), peers, strict=True):
            leaf.copy_(torch.tensor(np.array(value)))
    network = network.to(device)
    inputs, cotangent = torch.tensor(x, device=device, requires_grad=True), torch.tensor(weights, device=device)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def forward():
        with torch.no_grad():
            y = network(inputs)[0]
        wait()
        return y

    def both():
        inputs.grad = None
        network.zero_grad(set_to_none=True)
        y = network(inputs)[0]
        (y * cotangent).sum().backward()
        kernel, recurrent_kernel, bias, second_bias = (leaf.grad for leaf in network.parameters())
        gradients = {"kernel": kernel.T, "recurrent_kernel": recurrent_kernel.T, "bias": bias}
        if name == "gru":
            gradients["recurrent_bias"] = second_bias[2 * size :]
        wait()
        return y.detach(), gradients, inputs.grad

    return dict(zip(KINDS, (forward, both), strict=True))
