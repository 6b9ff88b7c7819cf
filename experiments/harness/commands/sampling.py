"""The command ``sample``: a grid of images from the trained model of a run folder."""

from pathlib import Path

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import catalogue, terminal
from experiments.harness.commands.finished import load_finished
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import read_manifest

DEFAULTS = {"--count": 64, "--seed": 0}
LEAST = {"--count": 1, "--seed": 0}


def main(arguments: list[str]) -> int:
    """Draw images from a run and write them to ``samples.png`` in its folder.

    Raises:
        UsageError: the flags or the folder have a fault, or the experiment has nothing to sample.
    """
    directory, options = parse(arguments)
    manifest = read_manifest(directory)
    name = manifest["experiment"]
    experiment = catalogue.load(name)
    if experiment.make_sampler is None:
        able = [each for each in catalogue.names() if catalogue.load(each).make_sampler is not None]
        raise UsageError(f"expected the run of an experiment with samples, got {name}; choose from {', '.join(able)}")
    config, variables = load_finished(directory, experiment, manifest)
    sample = experiment.make_sampler(config, options["--count"])
    images = np.asarray(sample(variables, jax.random.key(options["--seed"])))
    path = directory / "samples.png"
    draw_grid(images).savefig(path, dpi=130, bbox_inches="tight")
    terminal.console().print(f"{len(images)} images: {path}", highlight=False, soft_wrap=True)
    return 0


def parse(arguments: list[str]) -> tuple[Path, dict[str, int]]:
    """Parse the path of a run folder and the flags.

    >>> parse(["runs/flow", "--count", "16"])
    (PosixPath('runs/flow'), {'--count': 16, '--seed': 0})
    """
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("expected the path of a run folder, as in: sample runs/flow --count 64")
    path, *flags = arguments
    given = dict(zip(flags[::2], flags[1::2], strict=False))
    if len(flags) % 2 or given.keys() - DEFAULTS.keys():
        raise UsageError(f"expected --count N and --seed N, got {' '.join(flags)!r}")
    for flag, text in given.items():
        if not text.isdecimal() or not LEAST[flag] <= int(text) < 2**31:
            raise UsageError(f"{flag}: expected an integer >= {LEAST[flag]}, got {text!r}")
    return Path(path), {**DEFAULTS, **{flag: int(text) for flag, text in given.items()}}


def draw_grid(images: np.ndarray, columns: int = 10) -> Figure:
    """Draw images ``[N, H, W, C]`` from 0 to 1 side by side in rows."""
    count, height, width, channels = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    canvas = np.ones((rows, columns, height + 1, width + 1, channels), np.float32)
    canvas.reshape(-1, height + 1, width + 1, channels)[:count, :height, :width] = np.clip(images, 0, 1)
    picture = canvas.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    figure, axis = plt.subplots(figsize=(0.6 * columns, 0.6 * rows * height / width))
    axis.imshow(picture.squeeze(-1) if channels == 1 else picture, cmap="gray", vmin=0, vmax=1)
    axis.set_axis_off()
    return figure
