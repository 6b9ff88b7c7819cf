"""Are attribution maps to be trusted? Randomized layers, infidelity, sensitivity and sensitivity-n on digits.

    python -m experiments run sanity_checks

The layers of a trained network are replaced by new initializations, from the output to the input; a map that explains
the network must change (Adebayo et al., 2018). ``rank`` is Spearman's correlation of the absolute maps before and
after, ``ssim`` their structural similarity, over held-out digits and initializations, with all layers replaced.
``infidelity`` relates to noise of 0.2 and is divided by the variance of the change of the score, so that the map of
zeros has 1 if the mean change is 0. ``sensitivity`` is the largest relative change of the map under noise of 0.02,
``sensitivity_n`` the correlation for subsets of 64 pixels set to 0; a map of slopes is multiplied by the input for it.
``deletion`` is the mean score, relative to the first, while pixels are set to 0 in the order of the map.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.claims import interval
from experiments.harness.configuration import at_least
from experiments.harness.figures import COLOURS, plot_band
from experiments.harness.interpret.maps import attribution_grid
from experiments.harness.interpret.networks import DIGITS, Looking, digits, train_digits
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import interpret, tree
from jaxdl.typing import Array, ArrayLike, PyTree

LAYERS = ("output", "dense1", "conv3_1", "conv2_1", "conv1_1")
Score = Callable[[Array], Array]
METHODS: dict[str, Callable[[Score, Array], Array]] = {
    "gradient": interpret.gradient,
    "gradient x input": interpret.gradient_times_input,
    "integrated gradients": lambda f, x: interpret.integrated_gradients(f, x, steps=20)[0],
    "guided backpropagation": interpret.guided_backpropagation,
    "deconvolution": interpret.deconvolution,
}
SLOPES = ("gradient", "guided backpropagation", "deconvolution")
"""Methods whose maps are multiplied by the input to add up to a change of the score."""


@dataclass(frozen=True)
class Config(Looking):
    """Tests of attribution maps."""

    SMOKE = {"epochs": 0, "examples": 2, "seeds": 1, "samples": 2, "methods": ("gradient",)}

    methods: tuple[str, ...] = tuple(METHODS)
    """Methods of attribution."""
    examples: int = 32
    """Held-out digits."""
    seeds: int = 3
    """New initializations."""
    samples: int = 50
    """Perturbations and subsets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, samples=2)


def run(config: Config, run: Run) -> dict[str, float]:
    """Randomize, perturb, draw."""
    network, test = train_digits(config, run), digits(run).test
    x, labels = test["image"][: config.examples], test["label"][: config.examples]
    params = network.variables["params"]
    fresh = initialize(np.random.default_rng(config.seed), DIGITS, x[:1], config.seeds)["params"]
    maps, similar, measured = {}, {}, {}
    for name in config.methods:
        attribute = jax.jit(lambda params, name=name: METHODS[name](score(params, labels), x))
        cascades = [randomize(attribute, params, tree.take(fresh, seed)) for seed in range(config.seeds)]
        similar[name] = jax.device_get(compare(attribute(params), jnp.stack(cascades)))
        maps[name] = np.concatenate([attribute(params)[:1], cascades[0][:, 0]])
        measured[name] = jax.device_get(perturb(config, name, params, x, labels))
        run.console.print(
            f"{name}: rank correlation {similar[name]['rank'][..., -1].mean():.2f} without a trained layer"
        )
    run.figure("similarity", draw(similar))
    run.figure("maps", attribution_grid(np.repeat(x[:1], 1 + len(LAYERS), axis=0), maps, size=1.5))
    tables = {f"{kind}": {name: found[kind][:, -1] for name, found in similar.items()} for kind in ("rank", "ssim")}
    kinds = ("deletion", "infidelity", "sensitivity", "sensitivity_n")
    return means(**tables, **{kind: {name: found[kind] for name, found in measured.items()} for kind in kinds})


def score(params: PyTree, labels: ArrayLike) -> Score:
    """Return the function from images ``[B, ...]`` to the logits ``[B]`` of their labels."""

    @jax.jit  # the measures evaluate it many times: it is traced once
    def of_labels(x: Array) -> Array:
        logits = DIGITS.apply({"params": params}, x)
        return jnp.take_along_axis(logits, jnp.asarray(labels)[:, None], axis=1)[:, 0]

    return of_labels


def randomize(attribute: Callable[[PyTree], Array], params: PyTree, fresh: PyTree) -> Array:
    """Return the maps ``[layers, B, ...]`` with more and more layers replaced."""
    layers = [f"^{layer}/" for layer in LAYERS]
    maps = interpret.cascading_randomization(attribute, params, fresh, layers, similarity=lambda new, trained: new)
    return jnp.stack(list(maps.values()))


@jax.jit
def compare(trained: Array, cascades: Array) -> dict[str, Array]:
    """Compare maps ``[B, ...]`` with those of cascades ``[seeds, layers, B, ...]``: ``[seeds B, layers]``."""
    kinds = {"rank": interpret.rank_correlation, "ssim": interpret.structural_similarity}

    def similarity(of: Callable[[Array, Array], Array]) -> Array:
        found = jax.vmap(jax.vmap(lambda maps: of(jnp.abs(trained), jnp.abs(maps))))(cascades)
        return jnp.moveaxis(found, 1, 2).reshape(-1, cascades.shape[1])

    return {name: similarity(of) for name, of in kinds.items()}


@partial(jax.jit, static_argnums=(0, 1))
def perturb(config: Config, name: str, params: PyTree, x: Array, labels: Array) -> dict[str, Array]:
    """Measure infidelity, sensitivity and sensitivity-n of a method for every example."""
    f, keys = score(params, labels), jax.random.split(jax.random.key(config.seed), 3)
    maps = METHODS[name](f, x)
    slopes = maps if name in SLOPES else maps / jnp.where(jnp.abs(x) < 1e-3, jnp.inf, x)
    noise = 0.2 * jax.random.normal(keys[0], (config.samples, *x.shape))
    small = jax.random.uniform(keys[1], (config.samples // 2, *x.shape), minval=-0.02, maxval=0.02)
    subsets = interpret.random_subsets(keys[2], x.shape[1:], n=64, count=config.samples)
    changes = jax.lax.map(lambda change: f(x) - f(x - change), noise)
    deletion = interpret.deletion_curve(f, x, maps if name not in SLOPES else jnp.abs(maps), steps=16)
    return {
        "deletion": interpret.curve_area(deletion) / jnp.maximum(f(x), 1),
        "infidelity": interpret.infidelity(f, x, slopes, noise) / jnp.var(changes, axis=0),
        "sensitivity": interpret.max_sensitivity(partial(METHODS[name], f), x, small),
        "sensitivity_n": interpret.sensitivity_n(f, x, maps * x if name in SLOPES else maps, subsets),
    }


def draw(similar: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the similarity over the number of replaced layers, with intervals over digits and initializations."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    places = np.arange(1 + len(LAYERS))
    for axis, (kind, title) in zip(axes, {"rank": "rank correlation", "ssim": "SSIM"}.items(), strict=True):
        for (name, found), colour in zip(similar.items(), COLOURS, strict=False):
            mean, low, high = np.transpose([(1, 1, 1), *(interval(values, (-1, 1)) for values in found[kind].T)])
            plot_band(axis, places, mean, low, high, colour, label=name)
        axis.set_xticks(places, ["none", *(f"+ {layer}" for layer in LAYERS)], rotation=20)
        axis.set(title=f"{title} of absolute maps", xlabel="layers replaced by a new initialization")
    axes[1].legend(frameon=False, fontsize=8)
    return figure
