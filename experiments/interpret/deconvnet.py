"""Unpooling with switches against blind unpooling in the deconvnet of Zeiler and Fergus.

    python -m experiments run deconvnet

A deconvnet projects the score of a class back to the pixels: rectification, transposed convolutions, and unpooling.
With switches a value returns to the place of the maximum that it came from; blind unpooling repeats it over the window
("repeated") or puts it at the same corner of every window ("corner"). Compared for networks that learn digits pasted on
cuts of a photograph (see guided_vs_gradient), on the test images that a network classifies correctly: the share of the
magnitude within the mask of the digit, and the Gini index. 8 networks; claim 16 is reproduced if the whole 95 %
interval of the difference of the shares is above 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.interpret.composites import Composited, Net, make_composites, measure_maps, train_networks
from experiments.harness.interpret.maps import attribution_grid
from experiments.harness.plots import plot_groups
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import interpret
from jaxdl.nn import blind_unpool, max_pool, upsample_nearest
from jaxdl.typing import Array, PyTree

CLAIMS = (16,)


@dataclass(frozen=True)
class Config(Composited):
    """Three ways of unpooling."""


def blind(unpool: Callable[..., Array]) -> Callable[[Array], Array]:
    """Return max pooling 2x2 whose backward pass is an unpooling without switches."""
    pool = jax.custom_vjp(partial(max_pool, window=2))
    pool.defvjp(lambda x: (max_pool(x, 2), None), lambda _, y_bar: (unpool(y_bar, 2),))
    return pool


POOLS = {
    "switches": partial(max_pool, window=2),
    "repeated": blind(upsample_nearest),
    "corner": blind(blind_unpool),
}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, project with each unpooling, judge, draw."""
    train_set, test_set = make_composites(config)
    params = train_networks(config, train_set)
    found = measure_maps({name: project(pool) for name, pool in POOLS.items()}, params, test_set)
    for kind in ("repeated", "corner"):
        statement = f"unpooling with switches localizes better than blind unpooling ({kind})"
        differences = found["inside"]["switches"] - found["inside"][kind]
        run.claim(
            judge(16, statement, "difference of the share of the projection on the object", differences, within=(-1, 1))
        )
    area = float(np.mean(test_set["mask"]))
    run.figure("projections", attribution_grid(test_set["image"][:8], found["maps"]))
    run.figure("measures", draw(found, area))
    measured = {name: found[name] for name in ("accuracy", "gini", "inside")}
    return means(**measured) | {"area_of_the_digit": area}


def project(pool: Callable[[Array], Array]) -> Callable[[PyTree, Array, Array], Array]:
    """Return the deconvnet of a network with a kind of pooling."""

    def attribute(params: PyTree, x: Array, label: Array) -> Array:
        network = Net(pool)
        return interpret.deconvolution(interpret.target_score(lambda x: network.apply({"params": params}, x), label), x)

    return attribute


def draw(found: dict[str, dict[str, np.ndarray]], area: float) -> Figure:
    """Draw both measures of every network and unpooling."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4))
    for axis, kind, title in zip(axes, ("inside", "gini"), ("share within the digit", "Gini index"), strict=True):
        plot_groups(axis, {name: found[kind][name] for name in POOLS}, COLOURS[: len(POOLS)])
        axis.set(title=title)
    axes[0].axhline(area, color="grey", linestyle=":")
    axes[0].text(0, area, "chance", va="bottom", color="grey")
    return figure
