"""The rows of ``bench gpu``: ``python -m experiments.benchmarks.gpu_rows NAME [--smoke]`` prints a line for each case.

A row imports what it compares with itself. Torch is optional: without it ``theirs`` is missing.
"""

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import gpu_peers
from experiments.benchmarks.gpu import BANDWIDTH, PEAK, timed
from experiments.benchmarks.gpu_peers import NVIDIA, Call
from jaxdl import decode, models, nn, optim, tasks, train, tree
from jaxdl.models.stepping import step_function
from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells

Cases = Iterator[dict[str, Any]]
TORCH = importlib.util.find_spec("torch") is not None


def correct(smoke: bool) -> Cases:
    """Compare what has a form of its own on a GPU with the form that the tests have verified."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(4, 8 if smoke else 64, 16 if smoke else 128)).astype(np.float32)
    cell = cells.LSTM(x.shape[-1])
    parameters = cells.init_cell(jax.random.key(0), cell, x.shape[-1])

    def states(backend: str) -> jax.Array:
        return jax.jit(lambda p, x: recurrent.scan(cell, p, x, backend=backend)[1])(parameters, x)

    if NVIDIA:
        yield close("cuDNN's LSTM against the scan", states("cudnn"), states("scan"), 5e-3)
    shape = (2, 4, 32, 16) if smoke else (2, 12, 512, 64)
    q, k, v = (jnp.asarray(a, jnp.bfloat16) for a in generator.normal(size=(3, *shape)))
    mask = np.tril(np.ones(shape[2:3] * 2, np.float32))
    scores = jnp.einsum("bhtd,bhsd->bhts", q.astype(np.float32), k.astype(np.float32)) / shape[-1] ** 0.5
    plain = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)) @ v.astype(np.float32)
    ours = jax.jit(partial(nn.attention.dot_product_attention, causal=True))(q, k, v)
    yield close("attention in bfloat16 against the formula in float32", ours, plain, 2e-2)
    work, batch = language_work(smoke, precision="bfloat16"), tokens(2, 32 if smoke else 256)
    state = work.state(batch)
    loss = jax.jit(work.step)(state, batch)[1]["loss"]
    with jax.default_device(jax.devices("cpu")[0]):
        single = language_work(smoke, precision="float32")
        expected = jax.jit(single.step)(*jax.device_put((state, batch), jax.devices("cpu")[0]))[1]["loss"]
    yield close("loss of GPT-2 in bfloat16 against float32 on the CPU", loss, expected, 2e-2)


def recurrent_rows(smoke: bool) -> Cases:
    """Time a layer forward and backward: the scan and cuDNN, against torch, which is cuDNN."""
    from experiments.benchmarks.recurrent import CELLS, compiled, our_scan, torch_runs

    goals = {"lstm by cuDNN": 1.1}
    for batch, steps, size in [(2, 5, 8)] if smoke else [(32, 128, 256), (64, 512, 128)]:
        for name, kind in CELLS.items():
            cell, generator = kind(size), np.random.default_rng(0)
            parameters = jax.device_get(cells.init_cell(jax.random.key(0), cell, size))
            x, weights = generator.normal(size=(2, batch, steps, size)).astype(np.float32)
            theirs = torch_runs(name, parameters, x, weights) if TORCH else None
            forms = {name: compiled(partial(our_scan, cell), parameters, x, weights)}
            if name == "lstm" and NVIDIA:
                forms["lstm by cuDNN"] = compiled(partial(our_scan, cell, backend="cudnn"), parameters, x, weights)
            for form, runs in forms.items():
                for part, work in runs.items():
                    title = f"{form}, batch {batch}, {steps} steps of {size}, {part}"
                    yield against(title, work, theirs and theirs[part], goals.get(form), smoke=smoke)


class Work:
    """A training step of a registered model on constant data."""

    def __init__(self, task: tasks.Task, optimizer: Any, **options: Any):
        self.task, self.optimizer = task, optimizer
        self.step = train.make_step(task.loss, optimizer, **options)

    def state(self, batch: Mapping[str, Any]) -> train.TrainState:
        """Initialize."""
        key = jax.random.key(0)
        return jax.jit(lambda: train.TrainState.create(self.task.init(key, batch), self.optimizer, key))()

    def runner(self, batch: Mapping[str, Any]) -> Call:
        """Return a function that takes a step and blocks."""
        state, step = self.state(batch), jax.jit(self.step, donate_argnums=0)
        batch = jax.device_put(dict(batch))

        def run() -> object:
            nonlocal state
            state, metrics = step(state, batch)
            return jax.block_until_ready(metrics)

        return run


def language_work(smoke: bool, precision: str) -> Work:
    """Make the training step of GPT-2 with 124 million parameters, without dropout."""
    rates = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}
    small = {"d_model": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 128, "context_length": 64} if smoke else {}
    model = models.create("gpt2", **rates, **small)
    return Work(tasks.language_model(model), optim.adamw(1e-4), precision=precision)


def tokens(batch: int, length: int, vocab_size: int = 128) -> dict[str, np.ndarray]:
    """Draw tokens, and the next of each."""
    drawn = np.random.default_rng(0).integers(0, vocab_size, (batch, length + 1), dtype=np.int32)
    return {"token": drawn[:, :-1], "target": drawn[:, 1:]}


def gpt2(smoke: bool) -> Cases:
    """Time a training step of GPT-2, 124 million parameters, T = 1,024, in bfloat16."""
    batch, length = (2, 16) if smoke else (16, 1024)
    arrays = tokens(batch, length)
    work = language_work(smoke, "bfloat16")
    ours = work.runner(arrays)
    size = tree.size(work.state(arrays).params)
    for peer in alone_first(lambda: gpu_peers.torch_gpt2(smoke, arrays), "transformers"):
        case = against(f"GPT-2 training, {batch} x {length} tokens", ours, peer, smoke=smoke)
        share = 6 * size * batch * length / case["ours"] / PEAK
        yield {**case, "tokens_a_second": batch * length / case["ours"], **reached(100 * share, "% of peak", 40)}


def resnet50(smoke: bool) -> Cases:
    """Time a training step of ResNet-50 in bfloat16, against torchvision's, compiled, channels last."""
    batch, side = (2, 32) if smoke else (256, 224)
    generator = np.random.default_rng(0)
    arrays = {
        "image": generator.normal(size=(batch, side, side, 3)).astype(np.float32),
        "label": generator.integers(0, 10, batch, dtype=np.int32),
    }
    changes = {"depths": (1, 1, 1, 1), "block": "basic"} if smoke else {}
    work = Work(tasks.classification(models.create("resnet50", **changes)), optim.momentum(0.1), precision="bfloat16")
    ours = work.runner(arrays)
    for peer in alone_first(lambda: gpu_peers.torch_resnet(smoke, arrays), "torchvision"):
        case = against(f"ResNet-50 training, batch {batch}", ours, peer, 1.0, smoke=smoke)
        yield {**case, **reached(batch / case["ours"], "images/s", 3500, keep=case)}


def attention(smoke: bool) -> Cases:
    """Time causal attention at T = 4,096 in bfloat16, forward and with gradients, against torch's fused form."""
    batch, heads, length, size = (1, 2, 32, 16) if smoke else (8, 16, 4096, 64)
    arrays = np.random.default_rng(0).normal(size=(3, batch, heads, length, size)).astype(np.float32)
    q, k, v = (jnp.asarray(a, jnp.bfloat16) for a in arrays)
    forward = partial(nn.attention.dot_product_attention, causal=True)
    both = jax.grad(lambda *args: jnp.sum(forward(*args).astype(jnp.float32)), argnums=(0, 1, 2))
    theirs = gpu_peers.torch_attention(arrays) if TORCH else {}
    products = 2 * batch * heads * length**2 * size  # half of 4 B H T^2 D: causal
    for name, function, times, goal in (("forward", forward, 1.0, 450), ("forward and backward", both, 3.5, None)):
        run = jax.jit(function)
        case = against(f"T = {length}, {name}", lambda run=run: wait_for(run(q, k, v)), theirs.get(name), smoke=smoke)
        yield {**case, **reached(times * products / case["ours"] / 1e12, "TFLOP/s", goal)}


def adam(smoke: bool) -> Cases:
    """Time the update of 350 million parameters, by the bytes of parameters, moments and gradients."""
    shapes = {f"w{i}": (8, 8) if smoke else (4096, 4096) for i in range(21)}
    params, gradients = ({name: jnp.full(shape, value) for name, shape in shapes.items()} for value in (1.0, 0.1))
    optimizer = optim.adam(1e-3)
    state = optimizer.init(params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradients, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    def ours() -> object:
        nonlocal params, state
        params, state = step(params, state, gradients)
        return jax.block_until_ready(params)

    theirs, size = gpu_peers.torch_adam(shapes) if TORCH else None, tree.size(gradients)
    case = against(f"Adam, {size:,} parameters", ours, theirs, smoke=smoke)
    moved = 7 * 4 * size  # reads w, g, m, v and writes w, m, v
    yield {**case, **reached(100 * moved / case["ours"] / BANDWIDTH, "% of copy", 85)}


def generation(smoke: bool) -> Cases:
    """Time greedy decoding of GPT-2 with a cache, in one program."""
    small = {"d_model": 32, "num_layers": 1, "num_heads": 2, "vocab_size": 128, "context_length": 64} if smoke else {}
    model = models.create("gpt2", **small)
    length = 8 if smoke else 128
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), int))
    for batch in (1, 16):
        first = jnp.arange(batch) % 128

        @jax.jit
        def generate(variables: Any, first: jax.Array) -> jax.Array:
            carry = model.init_carry(first.shape, length)
            return decode.greedy(step_function(model, variables), carry, first, max_length=length).tokens

        run = partial(generate, variables, first)
        case = against(f"GPT-2, {length} tokens, batch {batch}", lambda run=run: wait_for(run()), None, smoke=smoke)
        yield {**case, **reached(batch * length / case["ours"], "tokens/s", None)}


def seeds(smoke: bool) -> Cases:
    """Time an epoch of 64 small networks under vmap against one after the other."""
    loader, task, count = digits(smoke, "mlp"), tasks.classification(models.create("mlp")), 4 if smoke else 64
    optimizer = optim.adam(1e-3)
    state = train.start(task, optimizer, loader)
    step = train.make_step(task.loss, optimizer)
    states = jax.vmap(lambda key: state.replace(key=key))(jax.random.split(jax.random.key(2), count))
    together = Epochs(jax.vmap(step, in_axes=(0, None)), states, loader)
    alone = Epochs(step, state, loader)
    ours, one = timed([together.run, alone.run], 0.2 if smoke else 3)
    title = f"{count} MLPs under vmap, of as many in sequence"
    yield judged({"case": title, "ours": ours, "theirs": count * one}, 0.02)


def epochs(smoke: bool) -> Cases:
    """Time an epoch in one program against torch, eager."""
    from experiments.benchmarks.training import TorchRun

    for name in ("mlp", "lenet5"):
        loader = digits(smoke, name)
        task, optimizer = tasks.classification(models.create(name)), optim.adam(1e-3)
        state = train.start(task, optimizer, loader)
        ours = Epochs(train.make_step(task.loss, optimizer), state, loader)
        theirs = TorchRun(state.params, loader, device="cuda" if NVIDIA else "cpu") if TORCH else None
        title = f"{name}, epoch of {len(loader.arrays['label']):,} images"
        yield against(title, ours.run, theirs and theirs.epoch, 0.1, smoke=smoke)


class Epochs:
    """Epochs of the training engine, each one program."""

    def __init__(self, step: train.Step, state: Any, loader: Any):
        self.state, self.loader = jax.tree.map(lambda leaf: leaf.copy(), state), loader
        self.runner = train.Scanned(step, loader)

    def run(self) -> object:
        """Train for an epoch."""
        self.state, metrics = self.runner(self.state, 0, self.loader.steps_per_epoch)
        return jax.device_get(metrics)


def digits(smoke: bool, name: str) -> Any:
    """Draw images of MNIST's number and size."""
    from jaxdl import data

    size, shape = 128 if smoke else 60_000, {"mlp": (28, 28, 1), "lenet5": (32, 32, 1)}[name]
    generator = np.random.default_rng(0)
    image = generator.normal(size=(size, *shape)).astype(np.float32)
    return data.Loader({"image": image, "label": generator.integers(0, 10, size, dtype=np.int32)}, 64)


def alone_first(make: Callable[[], Call], library: str) -> Iterator[Call | None]:
    """Yield no peer, then the peer where its library is installed: our figure stays if the peer takes too long."""
    yield None
    if TORCH and importlib.util.find_spec(library):
        yield make()


def against(title: str, ours: Call, theirs: Call | None, goal: float | None = None, *, smoke: bool) -> dict[str, Any]:
    """Time ours, and theirs in turns, and judge the ratio; a peer that fails costs only its own figure."""
    failure = {}
    try:
        if theirs:
            theirs()
    except Exception as error:
        theirs, failure = None, {"peer_error": f"{type(error).__name__}: {error}"[:300]}
    seconds = timed([ours, theirs] if theirs else [ours], 0.01 if smoke else 1.0)
    return judged({"case": title, "ours": seconds[0], "theirs": seconds[1] if theirs else None, **failure}, goal)


def judged(case: dict[str, Any], goal: float | None) -> dict[str, Any]:
    """Add the ratio and its verdict."""
    if case["theirs"] is None:
        return case
    ratio = case["ours"] / case["theirs"]
    verdict = {} if goal is None else {"goal": f"<= {goal:g}", "verdict": "PASS" if ratio <= goal else "MISS"}
    return {**case, "ratio": ratio, **verdict}


def reached(value: float, unit: str, goal: float | None, keep: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an absolute figure and its verdict; a missed ratio of ``keep`` stays missed."""
    if goal is None:
        return {"reached": value, "unit": unit}
    passed = value >= goal and (keep or {}).get("verdict") != "MISS"
    both = " and ".join([*filter(None, [(keep or {}).get("goal")]), f">= {goal:g} {unit}"])
    return {"reached": value, "unit": unit, "goal": both, "verdict": "PASS" if passed else "MISS"}


def close(title: str, ours: Any, expected: Any, tolerance: float) -> dict[str, Any]:
    """Compare two results by the largest difference, relative to the largest expected number."""
    ours, expected = (np.asarray(a, np.float64) for a in (ours, expected))
    error = float(np.abs(ours - expected).max() / np.abs(expected).max())
    return {"case": title, "reached": error, "verdict": "PASS" if error <= tolerance else "MISS"}


def wait_for(result: Any) -> Any:
    """Wait for JAX's result."""
    return jax.block_until_ready(result)


FUNCTIONS = {
    "correct": correct,
    "recurrent": recurrent_rows,
    "gpt2": gpt2,
    "resnet50": resnet50,
    "attention": attention,
    "adam": adam,
    "decode": generation,
    "seeds": seeds,
    "epochs": epochs,
}

if __name__ == "__main__":
    for found in FUNCTIONS[sys.argv[1]]("--smoke" in sys.argv):
        sys.stdout.write(json.dumps(found, default=float) + "\n")
        sys.stdout.flush()
