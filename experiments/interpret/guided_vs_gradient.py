"""Is guided backpropagation sharper than the gradient? Sparsity and localization on composited digits.

    python -m experiments run guided_vs_gradient

Small networks learn scikit-learn's digits, pasted at random places on cuts of a photograph. "Sharper" has two measures,
chosen beforehand, of the magnitudes of a map of the score of the true class, on the test images that a network
classifies correctly: the Gini index, which is near 1 if few pixels have most of it, and the share within the mask of
the digit, which chance would give its area. 8 networks, each in its own order of the images, Adam at 0.002, batches of
64, 12 epochs. The claim is reproduced if the whole 95 % interval of the difference over the networks is above 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import judge
from experiments.harness.configuration import require
from experiments.harness.figures import COLOURS
from experiments.harness.interpret.composites import Composited, Net, make_composites, measure_maps, train_networks
from experiments.harness.interpret.maps import attribution_grid
from experiments.harness.plots import plot_groups
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import interpret
from jaxdl.typing import Array, PyTree

CLAIMS = (30,)
METHODS: dict[str, Callable[..., Array]] = {
    "gradient": interpret.gradient,
    "guided backpropagation": interpret.guided_backpropagation,
    "deconvnet": interpret.deconvolution,
    "gradient x input": interpret.gradient_times_input,
    "integrated gradients": lambda f, x: interpret.integrated_gradients(f, x, steps=20)[0],
}


@dataclass(frozen=True)
class Config(Composited):
    """Guided backpropagation against the gradient."""

    SMOKE = {**Composited.SMOKE, "methods": ("gradient", "guided backpropagation")}

    methods: tuple[str, ...] = tuple(METHODS)
    """Methods that are measured, the two to be compared among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = {"gradient", "guided backpropagation"} <= set(self.methods) <= set(METHODS)
        require(needed, "methods", f"gradient, guided backpropagation and others of {', '.join(METHODS)}", self.methods)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, attribute, judge, draw."""
    train_set, test_set = make_composites(config)
    params = train_networks(config, train_set)
    found = measure_maps({name: bind(METHODS[name]) for name in config.methods}, params, test_set)
    for kind, statement, measure in (
        ("gini", "guided backpropagation is sparser than the gradient", "difference of the Gini index"),
        ("inside", "guided backpropagation is more on the object than the gradient", "difference of the share inside"),
    ):
        differences = found[kind]["guided backpropagation"] - found[kind]["gradient"]
        run.claim(judge(30, statement, measure, differences))
    area = float(np.mean(test_set["mask"]))
    run.figure("maps", attribution_grid(test_set["image"][:8], found["maps"]))
    run.figure("measures", draw(found, area))
    measured = {name: found[name] for name in ("accuracy", "gini", "inside")}
    return means(**measured) | {"area_of_the_digit": area}


def bind(method: Callable[..., Array]) -> Callable[[PyTree, Array, Array], Array]:
    """Return the map of a method as a function of parameters, images and classes."""

    def attribute(params: PyTree, x: Array, label: Array) -> Array:
        return method(interpret.target_score(lambda x: Net().apply({"params": params}, x), label), x)

    return attribute


def draw(found: dict[str, dict[str, np.ndarray]], area: float) -> Figure:
    """Draw both measures of every network and method."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 3.8))
    for axis, kind, title in zip(axes, ("gini", "inside"), ("Gini index", "share within the digit"), strict=True):
        plot_groups(
            axis, {name.replace(" ", "\n"): values for name, values in found[kind].items()}, COLOURS[: len(found[kind])]
        )
        axis.set(title=title)
    axes[1].axhline(area, color="grey", linestyle=":")
    axes[1].text(0, area, "chance", va="bottom", color="grey")
    return figure
