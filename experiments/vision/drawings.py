"""Figures of the experiments on vision."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, plot_runs
from experiments.harness.plots import heat_maps, image_rows, plot_groups, plot_mean, plot_smooth_runs

Arrays = Mapping[str, np.ndarray]
"""Arrays by name."""


def draw_cases(
    accuracies: Mapping[tuple[str, str], Mapping[str, np.ndarray]], advice: Mapping[tuple[str, str], list]
) -> Figure:
    """Draw the accuracy of every run and strategy, and the means, for each case of a transfer."""
    figure, axes = plt.subplots(2, 2, figsize=(8.5, 6))
    for axis, (case, found) in zip(axes.flat, accuracies.items(), strict=True):
        advised = {better for better, _ in advice[case]}
        groups = {f"{name}\n(advised)" if name in advised else name: values for name, values in found.items()}
        plot_groups(axis, groups, COLOURS[: len(groups)], within=(0, 1))
        axis.set(title=f"{case[0]} target, {case[1]} examples", ylabel="accuracy on the target")
    return figure


def draw_examples(source: Mapping[str, np.ndarray], targets: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw three images of each of five classes of the source and of the targets."""
    rows = {
        name: np.concatenate([part["image"][part["label"] == number][:3, ..., 0] for number in range(5)])
        for name, part in {"source": source, **targets}.items()
    }
    return image_rows(rows, size=0.8)


def draw_overlap(counts: Mapping[int, np.ndarray]) -> Figure:
    """Draw the number of kernels that contribute to every output."""
    figure, axes = plt.subplots(1, len(counts), figsize=(3 * len(counts), 3.3), squeeze=False)
    maps = {f"size {size}, stride 2": count for size, count in counts.items()}
    highest = 1.3 * max(count.max() for count in counts.values())
    heat_maps(axes, maps, numbers=True, cmap="Blues", vmin=0, vmax=highest)
    plt.setp(axes.flat, xticks=[], yticks=[])
    return figure


def draw_artefacts(log: Mapping[str, Mapping[int | str, np.ndarray]]) -> Figure:
    """Draw the artefact of every decoder, before and after learning, with the mean and its interval."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    for axis, (when, found) in zip(axes, log.items(), strict=True):
        colours = [COLOURS[kind % 2] if isinstance(kind, int) else COLOURS[2] for kind in found]
        plot_groups(axis, {label(kind): values for kind, values in found.items()}, colours)
        axis.set_title(f"{when} learning")
    axes[0].set_ylabel("artefact: log10 of the share of power")
    return figure


def draw_decoded(found: Mapping[int | str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw one image of the first seed: the target and the outputs of each decoder before and after training."""
    images = [one["images"][0] for one in found.values()]
    rows = {when: [images[0][0], *(three[i] for three in images)] for i, when in ((1, "before"), (2, "after"))}
    return image_rows(rows, ["target", *map(label, found)], size=2.2, kind="scaled")


def draw_photographs(images: np.ndarray, filtered: Arrays, grey: np.ndarray, keeps: Sequence[str]) -> Figure:
    """Draw each photograph under each filter; outputs without a mean in grey, with zero in the middle."""
    strength = np.sqrt(sum((filtered[f"Sobel, {part}"] @ grey) ** 2 for part in ("rows", "columns")))
    panels = {"photograph": images, **filtered, "Sobel, strength": strength}
    figure, axes = plt.subplots(4, 5, figsize=(15, 8.6))
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (name, pictures) in enumerate(panels.items()):
        for which, picture in enumerate(pictures):
            axis = axes[2 * (number // 5) + which, number % 5]
            if name in ("photograph", *keeps):
                axis.imshow(np.clip(picture, 0, 1))
            else:
                values = picture @ grey if picture.ndim == 3 else picture
                limit = np.quantile(np.abs(values), 0.99)
                axis.imshow(values, cmap="gray", vmin=0 if name == "Sobel, strength" else -limit, vmax=limit)
            if which == 0:
                axis.set_title(name, fontsize=10)
    return figure


def draw_responses(points: Arrays) -> Figure:
    """Draw the kernel of each filter and the magnitude of its Fourier transform."""
    figure, axes = plt.subplots(2, len(points), figsize=(2.1 * len(points), 4.6))
    for (above, below), (name, point) in zip(axes.T, points.items(), strict=True):
        limit, middle = np.abs(point).max(), point[10:23, 10:23]
        above.imshow(middle, cmap="RdBu", vmin=-limit, vmax=limit)
        response = np.abs(np.fft.fftshift(np.fft.fft2(point)))
        below.imshow(response, cmap="gray", vmin=0, extent=[-0.5, 0.5, -0.5, 0.5])
        above.set_title(name, fontsize=9)
        below.set_title(f"passes {response.min():.1f} to {response.max():.1f}", fontsize=9)
        for axis in (above, below):
            axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("of a point")
    axes[1, 0].set_ylabel("of waves")
    return figure


def draw_shifts(right: Arrays, error: Arrays, margin: int) -> Figure:
    """Draw accuracy and error of location as maps over the shifts."""
    figure, axes = plt.subplots(2, len(right), figsize=(3.2 * len(right), 6))
    side, extent = 2 * margin + 1, [-margin - 0.5, margin + 0.5, margin + 0.5, -margin - 0.5]
    correct = {kind: value.mean(axis=0).reshape(side, side) for kind, value in right.items()}
    lost = {kind: np.sqrt(value.mean(axis=0)).reshape(side, side) for kind, value in error.items()}
    for line, title, colours, maps in (
        (axes[0], "share of correct digits", "viridis", correct),
        (axes[1], "error of location in pixels, up to 1", "magma", lost),
    ):
        image = heat_maps(line, maps, cmap=colours, vmin=0, vmax=1, extent=extent)
        line[0].set_ylabel("shift downwards")
        figure.colorbar(image, ax=line, label=title)
    for axis in axes.flat:
        axis.set(xlabel="shift to the right", xticks=range(-4, 5, 2), yticks=range(-4, 5, 2))
    return figure


def draw_stacked(accuracy: Arrays, count: Mapping[str, int]) -> Figure:
    """Draw the mean accuracy over the epochs, and the last one of every network against the parameters."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for (name, values), colour in zip(accuracy.items(), COLOURS, strict=False):
        axes[0].plot(np.arange(1, len(values) + 1), values.mean(axis=1), color=colour, label=name)
        axes[1].plot(np.full(len(values[-1]), count[name]), values[-1], ".", color=colour, alpha=0.3)
        plot_mean(axes[1], count[name], values[-1], colour, label=name, within=(0, 1))
    least = min(values[-1].min() for values in accuracy.values())
    axes[0].set(xlabel="epoch", title="Test accuracy, mean of the networks", ylim=(least - 0.05, 1))
    axes[1].set(xlabel="parameters of the blocks", title="Test accuracy of every network after the last epoch")
    axes[1].set_xlim(left=0)
    axes[0].legend(frameon=False, title="in a block", loc="lower right")
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_degradation(found: Mapping[tuple[str, int], Arrays], shallow: int, deep: int) -> Figure:
    """Draw the training error of plain and residual networks over the steps, and the final one."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), width_ratios=(2, 2, 1))
    for axis, kind in zip(axes, ("plain", "residual"), strict=False):
        plot_smooth_runs(axis, {f"{depth} layers": 100 * found[kind, depth]["wrong"] for depth in (shallow, deep)}, 15)
        axis.set(title=f"Training error, {kind} networks", ylim=(-2, 92))
        axis.legend(frameon=False)
    axes[0].set_ylabel("wrong, %")
    errors = {f"{kind}\n{depth}": 100 * values["error"] for (kind, depth), values in found.items()}
    plot_groups(axes[2], errors, [COLOURS[depth == deep] for _, depth in found], within=(0, 100))
    axes[2].tick_params(axis="x", labelsize=8)
    axes[2].set(title="Final error, %")
    return figure


def label(kind: int | str) -> str:
    """Return the words for a decoder, the size of its kernels or its name."""
    return f"size {kind}" if isinstance(kind, int) else kind


def draw_orders(found: Mapping[tuple[str, str], np.ndarray], shown: np.ndarray, permuted: np.ndarray) -> Figure:
    """Draw the accuracies ``[epochs, seeds]`` of networks on both orders of the pixels, and images in both."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 2))
    for i, ((network, order), curves) in enumerate(found.items()):
        style = "-" if order == "as they are" else "--"
        epochs = 1 + np.arange(len(curves))
        plot_runs(axes[0], curves.T, COLOURS[i // 2], x=epochs, style=style, label=f"{network}, {order}")
    axes[0].set(xlabel="epoch", ylabel="accuracy in the test", ylim=(0.7, 1))
    axes[0].legend(frameon=False)
    rows = [np.concatenate(images.squeeze(-1), axis=1) for images in (shown, permuted)]
    axes[1].imshow(np.concatenate(rows), cmap="gray_r")
    axes[1].set_axis_off()
    return figure


def draw_kernels(kernels: Arrays) -> Figure:
    """Draw the filters ``[H, W, 1, K]`` of every way; blue is positive, red negative."""
    return image_rows({name: list(np.moveaxis(k[:, :, 0], -1, 0)) for name, k in kernels.items()}, kind="signed")


def draw_accuracy(found: Arrays) -> Figure:
    """Draw the accuracies ``[epochs, seeds]`` of every way."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    for (name, curves), colour in zip(found.items(), COLOURS, strict=False):
        plot_runs(axis, curves.T, colour, x=1 + np.arange(len(curves)), label=name)
    axis.set(xlabel="epoch", ylabel="accuracy in the test", ylim=(0.7, 1))
    axis.legend(frameon=False)
    return figure
