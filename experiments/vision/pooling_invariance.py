"""The effect of pooling on invariance and on localization, for digits that move.

    python -m experiments run pooling_invariance

Two 3x3 convolutions (8 and 16 maps), each with a reduction to half the size, and a linear layer, on scikit-learn's
digits in a field of 16 x 16 pixels. "strided" has a stride of 2, "max" max-pooling 2x2, with the same sizes and
parameters; "global" adds global max-pooling of the 16 maps; "torus" is the same with periodic borders. Each network
learns, with separate weights, to classify centred digits, tested at all shifts up to 4 pixels, and to locate shifted
digits. 16 seeds, Adam at 0.003, batches of 64, 20 epochs. Invariance is the accuracy over the 24 shifts of one and two
pixels, localization the root mean squared error over all 81 shifts, both compared with "strided".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.members import Repeated, train_in_own_orders
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.vision import drawings
from jaxdl import data, losses, optim, tree
from jaxdl.nn import Conv, global_max_pool, max_pool
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

CLAIMS = (15,)
RATE, BATCH, MARGIN = 3e-3, 64, 4
KINDS = ("strided", "max", "global", "torus")
SHIFTS = np.stack(np.meshgrid(*[np.arange(-MARGIN, MARGIN + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
NEAR = np.isin(np.abs(SHIFTS).max(axis=1), (1, 2))
NAMES = {"max": "max-pooling", "global": "global max-pooling", "torus": "global max-pooling without borders"}
OUTPUTS = {"what": 10, "where": 2}


@dataclass(frozen=True)
class Config(Repeated):
    """Classification and localization, with and without pooling."""

    SMOKE = {"seeds": 2, "epochs": 1, "kinds": KINDS[:2], "examples": 4}

    kinds: tuple[str, ...] = KINDS
    """Networks; strided must be the first."""
    examples: int | None = None
    """Examples of the training and of the test set; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.require(self.kinds[:1] == KINDS[:1], "kinds", "strided as the first", self.kinds)


class Net(linen.Module):
    """Two convolutions, each followed by a reduction to half the size, and a linear layer."""

    kind: str
    outputs: int

    @linen.compact
    def __call__(self, x: ArrayLike) -> Array:
        """Return ``[B, outputs]`` for images ``[B, 16, 16, 1]``."""
        strided = self.kind == "strided"
        beyond = "wrap" if self.kind == "torus" else "constant"
        for features in (8, 16):
            x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=beyond)
            x = linen.relu(Conv(features, (3, 3), stride=2 if strided else 1)(x))
            x = x if strided else max_pool(x, 2)
        x = x.reshape(len(x), -1) if self.kind in ("strided", "max") else global_max_pool(x)
        return linen.Dense(self.outputs)(x)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both tasks with every network, measure at every shift, judge, draw."""
    kinds = config.kinds
    dataset = data.digits()
    train_set, test_set = (tree.take(part, slice(config.examples)) for part in (dataset.train, dataset.test))
    right, error = {}, {}
    for kind in kinds:
        params = learn(config, kind, train_set)
        right[kind], error[kind] = np.asarray(measure(kind, params, test_set)).transpose(1, 2, 0)
    judge_all(run, statements(right, error))
    run.figure("shifts", drawings.draw_shifts(right, error, MARGIN))
    centre = int(np.flatnonzero(~SHIFTS.any(axis=1))[0])
    return means(
        accuracy_centred={kind: values[:, centre] for kind, values in right.items()},
        accuracy_shifted={kind: values[:, NEAR] for kind, values in right.items()},
        location_pixels={kind: pixels(values) for kind, values in error.items()},
    )


def place(images: Array, shifts: Array) -> Array:
    """Place digits ``[B, 8, 8, 1]`` in a field ``[B, 16, 16, 1]``, ``shifts [B, 2]`` away from the centre."""
    field = jnp.pad(images, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
    return jax.vmap(lambda x, shift: jnp.roll(x, shift, (0, 1)))(field, shifts)


def learn(config: Config, kind: str, arrays: dict[str, np.ndarray]) -> PyTree:
    """Train both tasks for every seed, each on its own order of the digits; return the parameters."""

    def init(key: Key) -> PyTree:
        keys, x = dict(zip(OUTPUTS, jax.random.split(key), strict=True)), jnp.zeros((1, 16, 16, 1))
        return {"params": {task: Net(kind, n).init(keys[task], x)["params"] for task, n in OUTPUTS.items()}}

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        """Add the losses of both tasks, which share no parameters."""
        params, x = variables["params"], batch["image"]
        shifts = jax.random.randint(key, (len(x), 2), -MARGIN, MARGIN + 1)
        logits = Net(kind, 10).apply({"params": params["what"]}, place(x, jnp.zeros_like(shifts)))
        found = Net(kind, 2).apply({"params": params["where"]}, place(x, shifts))
        return losses.cross_entropy(logits, batch["label"]) + jnp.mean((found - shifts) ** 2), ({}, {})

    state, _ = train_in_own_orders(config, loss, optim.adam(RATE), init, arrays, batch_size=BATCH)
    return state.params


@partial(jax.jit, static_argnums=0)
def measure(kind: str, params: PyTree, arrays: Batch) -> Array:
    """Return the accuracy and the squared error of row and column (pixels squared) at each shift: ``[S, 2, seeds]``."""

    def at(shift: Array) -> Array:
        x = place(arrays["image"], jnp.tile(shift[None], (len(arrays["image"]), 1)))

        def of_seed(params: PyTree) -> Array:
            logits, found = (Net(kind, n).apply({"params": params[task]}, x) for task, n in OUTPUTS.items())
            right = jnp.argmax(logits, axis=-1) == arrays["label"]
            return jnp.stack([jnp.mean(right), jnp.mean((found - shift[None]) ** 2)])

        return jax.vmap(of_seed, out_axes=1)(params)

    return jax.lax.map(at, jnp.asarray(SHIFTS))


def pixels(error: np.ndarray) -> np.ndarray:
    """Return the root of the mean squared error over all places, ``[seeds]``."""
    return np.sqrt(error.mean(axis=1))


def statements(right: dict[str, np.ndarray], error: dict[str, np.ndarray]) -> Iterator[Statement]:
    """State invariance and location of every kind of pooling."""
    for kind in [kind for kind in right if kind != "strided"]:
        name = NAMES[kind]
        gained = right[kind][:, NEAR].mean(axis=1) - right["strided"][:, NEAR].mean(axis=1)
        statement = f"{name} makes a classifier more invariant to shifts"
        yield Statement(
            15, statement, "accuracy after shifts of 1 and 2 pixels, against strides", gained, within=(-1, 1)
        )
        lost = pixels(error[kind]) - pixels(error["strided"])
        yield Statement(15, f"{name} makes it harder to locate a digit", "pixels of error, against strides", lost)
