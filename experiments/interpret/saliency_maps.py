"""Attribution maps by all methods side by side, for digits or for your own network and image.

    python -m experiments run saliency_maps
    python -m experiments run saliency_maps --model resnet18 --weights FILE --image FILE --class-names FILE

The first command trains a small network on scikit-learn's digits. The second takes any vision model of the registry
with the weights of torchvision, an image of any format (else two photographs of scikit-learn), and a file with the name
of a class in every line. Maps explain the logit of the most probable class. ``deletion_*`` is the mean probability of
the class while the most important pixels are set to 0 one after the other: below ``deletion_random`` a map finds what
the network uses. ``completeness_error`` is the largest of integrated gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.interpret.maps import attribution_grid
from experiments.harness.interpret.networks import Looking, Network, digits, photograph, train_digits
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import interpret, models, pretrained
from jaxdl.typing import Array, Key

Logits = Callable[[Array], Array]
Method = Callable[[interpret.scores.Scores, Array, str, Key], Array]


def centre(maps: Array) -> Array:
    """Subtract the mean of every map, for RISE about the score of an image half of which is hidden."""
    return maps - jnp.mean(maps, axis=tuple(range(1, maps.ndim)), keepdims=True)


METHODS: dict[str, Method] = {
    "gradient": lambda f, x, layer, key: interpret.gradient(f, x),
    "gradient x input": lambda f, x, layer, key: interpret.gradient_times_input(f, x),
    "SmoothGrad": lambda f, x, layer, key: interpret.smooth_grad(f, x, key, stddev=0.15, chunk_size=5),
    "integrated gradients": lambda f, x, layer, key: interpret.integrated_gradients(f, x, chunk_size=5)[0],
    "guided backpropagation": lambda f, x, layer, key: interpret.guided_backpropagation(f, x),
    "deconvnet": lambda f, x, layer, key: interpret.deconvolution(f, x),
    "Grad-CAM": lambda f, x, layer, key: interpret.grad_cam(f, x, layer),
    "guided Grad-CAM": lambda f, x, layer, key: interpret.guided_grad_cam(f, x, layer),
    "occlusion": lambda f, x, layer, key: interpret.occlusion(f, x, x.shape[1] // 6, x.shape[1] // 12, chunk_size=8),
    "RISE": lambda f, x, layer, key: centre(interpret.rise(f, x, key, samples=400, chunk_size=8)),
    "random": lambda f, x, layer, key: jax.random.normal(key, x.shape),
}


@dataclass(frozen=True)
class Config(Looking):
    """Maps of every method."""

    SMOKE = {"epochs": 0, "examples": 2, "methods": ("gradient",)}

    model: str = "digits"
    """A small network that is trained on digits first, or a vision model of the registry."""
    image: Path | None = None
    """Image for a model of the registry."""
    class_names: Path | None = None
    """File with a class in every line."""
    layer: str | None = None
    """Layer of Grad-CAM; the last with positions by default."""
    methods: tuple[str, ...] = tuple(METHODS)
    """Methods to show."""
    examples: int = 8
    """Number of digits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = set(self.methods) <= set(METHODS)
        configuration.require(known, "methods", f"some of {', '.join(METHODS)}", self.methods)


def run(config: Config, run: Run) -> dict[str, float]:
    """Prepare the network and the images, attribute by every method, delete, draw."""
    logits, x, classes = prepare(config, run)
    chosen = np.asarray(jnp.argmax(jax.jit(logits)(x), axis=1))
    run.console.print(f"explained: {', '.join(classes[k] for k in chosen)}")
    score = interpret.target_score(logits, chosen)
    layer, maps, areas = config.layer or last_layer(logits, x), {}, {}
    for name in config.methods:
        run.console.print(f"{name} ...")
        try:
            maps[name] = np.asarray(
                jax.jit(partial(METHODS[name], score, layer=layer, key=jax.random.key(config.seed)))(x)
            )
        except ValueError as error:  # a network without rectified units, or a layer without positions
            run.console.print(f"no {name}: {error}")
            continue
        areas[name] = deletion(logits, chosen, x, maps[name])
    figure = attribution_grid(x, maps, size=1.5 if len(x) > 2 else 3)
    for axis, k in zip(figure.axes, chosen, strict=False):
        axis.set_title(classes[k][:24], fontsize=9)
    run.figure("maps", figure)
    _, error = jax.jit(lambda x: interpret.integrated_gradients(score, x, chunk_size=5))(x)
    return means(deletion=areas) | {"completeness_error": float(jnp.max(error))}


def prepare(config: Config, run: Run) -> tuple[Logits, np.ndarray, list[str]]:
    """Return the logits of the network, images ``[B, H, W, C]`` from 0 to 1, and the names of the classes."""
    if config.model == "digits":
        network, x = train_digits(config, run), digits(run).test["image"][: config.examples]
    else:
        with preparing():
            network = Network(models.create(config.model), pretrained.load(config.model, config.weights), 3)
            rows = models.input_shape(config.model)[0]
        pictures = ["china", "flower"] if config.image is None else [config.image]
        x = np.concatenate([square(photograph(picture, rows, 3)) for picture in pictures])
    with preparing():
        lines = [] if config.class_names is None else config.class_names.read_text().splitlines()

    def logits(x: Array) -> Array:  # a function, which JAX can hash
        return network(x)

    return logits, x, [*lines, *(f"class {k}" for k in range(len(lines), network.model.num_classes))]


def square(image: np.ndarray) -> np.ndarray:
    """Cut the middle square out of ``[1, H, W, C]``; a narrow image is padded with its border."""
    height, width = image.shape[1:3]
    pad = max(0, height - width)
    image = np.pad(image, ((0, 0), (0, 0), (pad // 2, pad - pad // 2), (0, 0)), mode="edge")
    start = (image.shape[2] - height) // 2
    return image[:, :, start : start + height]


def last_layer(logits: Logits, x: np.ndarray) -> str:
    """Return the last intermediate ``[B, h, w, C]`` with several positions."""
    layers: dict[str, Any] = jax.eval_shape(interpret.read(logits, *interpret.names(logits, x)), x)[1]
    return [name for name, value in layers.items() if value.ndim == 4 and value.shape[1] > 1][-1]


def deletion(logits: Logits, classes: np.ndarray, x: np.ndarray, maps: np.ndarray) -> float:
    """Return the mean probability of the classes while the pixels are deleted in the order of a map."""
    probability = interpret.target_score(lambda x: jax.nn.softmax(logits(x)), classes)
    return float(jnp.mean(jax.jit(partial(interpret.deletion_curve, probability))(x, maps)))
