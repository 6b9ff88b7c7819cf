"""Figures of the experiments on neurons."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, plot_by_rate, plot_runs
from experiments.harness.plots import image_rows, plot_smooth_runs
from jaxdl.models import neurons
from jaxdl.typing import Array

Loss = Callable[[Array, Array], Array]
Arrays = Mapping[str, np.ndarray]


def draw_unlearning(
    rates: np.ndarray,
    accuracy: Arrays,
    needed: Arrays,
    best: Mapping[str, int],
    losses: Mapping[str, Loss],
    *,
    stride: int,
) -> Figure:
    """Draw the gradients by the probability of the label, the accuracies at the best rates, and the steps by rate."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    draw_gradients(axes[0], losses)
    for (name, values), colour in zip(accuracy.items(), COLOURS, strict=False):
        places, label = stride * np.arange(values.shape[-1]), f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[1], values[best[name]], colour, x=places, label=label)
        plot_by_rate(axes[2], rates, needed[name], colour, name)
    same = accuracy["squared error"][best["cross-entropy"]].mean(axis=0)
    label = f"squared error, {rates[best['cross-entropy']]:.2g}"
    axes[1].plot(places, same, "--", color=COLOURS[1], label=label)
    axes[1].set(xlabel="steps with the right labels", title="Held-out accuracy", ylim=(0, 1))
    axes[1].legend(frameon=False, title="loss, learning rate", loc="lower right")
    axes[2].set(yscale="log", ylim=(5, 1000))
    axes[2].set_title("Steps until half is right")
    axes[2].legend(frameon=False)
    return figure


def draw_gradients(axis: Axes, losses: Mapping[str, Loss]) -> None:
    """Draw the norm of each loss's gradient where one of ten classes is wrongly preferred."""
    logits = np.zeros((100, 10), np.float32)
    logits[:, 1] = np.linspace(0, 12, 100)
    truth = np.zeros(100, np.int32)

    @jax.jit
    def lengths(logits: Array) -> dict[str, Array]:
        # The losses are means over the rows.
        return {name: jnp.linalg.norm(100 * jax.grad(loss)(logits, truth), axis=1) for name, loss in losses.items()}

    share = np.exp(logits[:, 0]) / np.exp(logits).sum(axis=1)
    for (name, length), colour in zip(lengths(logits).items(), COLOURS, strict=False):
        axis.plot(share, length, color=colour, label=name)
    axis.set(xscale="log", yscale="log", xlabel="probability given to the truth", title="Gradient of the logits")
    axis.legend(frameon=False)


def draw_widths(errors: Mapping[int, np.ndarray], tower_errors: Mapping[int, float]) -> Figure:
    """Draw the errors of fitted networks and of towers over the number of hidden units."""
    figure, axis = plt.subplots(figsize=(5.2, 3.8))
    widths = list(errors)
    for width, values in errors.items():
        axis.scatter(np.full(len(values), width), values, s=8, color=COLOURS[0], alpha=0.4)
    axis.plot(widths, [np.median(values) for values in errors.values()], label="fitted, every run and the median")
    axis.plot(list(tower_errors), list(tower_errors.values()), "s--", label="towers, not fitted")
    axis.set(xscale="log", yscale="log", xlabel="hidden units", title="Root mean square error")
    ticks = sorted(set(widths) | set(tower_errors))
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(frameon=False, loc="upper right")
    return figure


def draw_fits(
    x: np.ndarray, wanted: np.ndarray, fits: Mapping[int, np.ndarray], errors: Mapping[int, np.ndarray]
) -> Figure:
    """Draw the median run of each width over the function."""
    shown = list(fits)[:5]
    figure, axes = plt.subplots(1, len(shown), figsize=(2.8 * len(shown), 2.7), sharey=True, squeeze=False)
    for axis, width in zip(axes[0], shown, strict=True):
        middle = np.argsort(errors[width])[len(errors[width]) // 2]
        axis.plot(x, wanted, color="black", linewidth=1)
        axis.plot(x, fits[width][middle], color=COLOURS[1], linewidth=1.6)
        axis.set(title=f"{width} hidden unit{'s' if width > 1 else ''}", xlabel="x")
    figure.suptitle("The function (black), and the run of median error at each width", fontsize=11)
    return figure


def draw_towers(x: np.ndarray, wanted: np.ndarray, built: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw how two sigmoids make a tower, and how towers make the function."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3))
    left, right = (1 / (1 + np.exp(-60 * (x - edge))) for edge in (-0.2, 0.2))
    axes[0].plot(x, left, label="a sigmoid")
    axes[0].plot(x, -right, label="minus another")
    axes[0].fill_between(x, left - right, color=COLOURS[2], alpha=0.4, label="their sum, a tower")
    axes[0].set(title="Two hidden units", ylim=(-1.4, 1.6))
    axes[0].legend(frameon=False, fontsize=8, ncols=2)
    for axis, (count, (heights, values)) in zip(axes[1:], built.items(), strict=True):
        edges = np.linspace(x[0], x[-1], count + 1)
        axis.bar(edges[:-1], heights, np.diff(edges), align="edge", color=COLOURS[2], alpha=0.4, edgecolor="white")
        axis.plot(x, values, color=COLOURS[1], linewidth=1.2)
        axis.plot(x, wanted, color="black", linewidth=1)
        axis.set(title=f"{count} towers, {2 * count} hidden units")
    for axis in axes:
        axis.set_xlabel("x")
    return figure


def draw_xor(
    found: Mapping[int, Arrays], right: Mapping[int, np.ndarray], plane: np.ndarray, table: Mapping[int, np.ndarray]
) -> Figure:
    """Draw the outputs of one neuron and of two hidden units, the losses, and the shares of solved runs."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6))
    draw_regions(axes[0], found[0]["plane"][int(right[0].argmax())], plane, table, "One neuron")
    pair = int(right[2].argmax())
    draw_regions(axes[1], found[2]["plane"][pair], plane, table, f"Two hidden units: {right[2][pair]} of 4 right")
    for (width, values), colour in zip(found.items(), ("black", *COLOURS), strict=False):
        label = f"{width} hidden" if width else "one neuron"
        axes[2].plot(values["loss"].mean(axis=0), color=colour, label=label)
    axes[2].axhline(np.log(2), color="grey", linewidth=0.8, linestyle=":")
    axes[2].set(xlabel="step", ylim=(0, 1), title="Mean loss (dotted: ln 2)")
    axes[2].legend(frameon=False, fontsize=8)
    shares = [np.mean(count == 4) for count in right.values()]
    labels = [str(width) if width else "one\nneuron" for width in right]
    axes[3].bar(labels, shares, color=COLOURS[0])
    axes[3].set(xlabel="hidden units", ylim=(0, 1.05), title="Share of runs with all four right")
    return figure


def draw_regions(
    axis: Axes, logits: np.ndarray, plane: np.ndarray, table: Mapping[int, np.ndarray], title: str
) -> None:
    """Draw the probability of 1 over the plane, the line where it is one half, and the points of each value."""
    side = round(len(plane) ** 0.5)
    probability = 1 / (1 + np.exp(-logits.reshape(side, side)))
    x1, x2 = np.moveaxis(plane.reshape(side, side, 2), -1, 0)
    axis.imshow(probability, origin="lower", extent=(-2, 2, -2, 2), cmap="Blues", vmin=0, vmax=1.6)
    if np.ptp(probability) > 0.1:  # otherwise the contour of a constant would show rounding errors
        axis.contour(x1, x2, probability, levels=[0.5], colors=COLOURS[1])
    for value, colour in ((0, "white"), (1, COLOURS[0])):
        axis.scatter(*table[value].T, s=80, c=colour, edgecolors="black", zorder=3)
    axis.set(xlabel="$x_1$", ylabel="$x_2$", xticks=[-1, 1], yticks=[-1, 1], aspect="equal", title=title)
    axis.grid(visible=False)


def draw_bound(found: Arrays) -> Figure:
    """Draw each set's mistakes over its bound."""
    figure, axis = plt.subplots(figsize=(5.2, 4))
    ends = np.array([1, found["bound"].max()])
    axis.fill_between(ends, ends, 10 * ends[1], color=COLOURS[1], alpha=0.12, linewidth=0)
    axis.plot(ends, ends, color=COLOURS[1], label="the bound")
    axis.scatter(found["bound"], found["mistakes"], s=7, alpha=0.5, label="a set")
    axis.set(xscale="log", yscale="log", xlabel=r"bound, $1 / \delta^2$", ylabel="mistakes until all points are right")
    axis.set(xlim=ends, ylim=(0.7, 1.5 * ends[1]), title=f"Mistakes on {len(found['bound']):,} separable sets")
    axis.legend(loc="upper left", frameon=False)
    return figure


def draw_angle(found: Arrays) -> Figure:
    """Draw the cosine and its bound for the sets that took longest, up to their last correction."""
    figure, axis = plt.subplots(figsize=(5.2, 4))
    longest = np.argsort(found["mistakes"])[::-1][:4]
    for number, colour in zip(longest, COLOURS, strict=False):
        k = np.arange(1, min(int(found["mistakes"][number]), found["cosine"].shape[1]) + 1)
        axis.plot(k, found["cosine"][number][: len(k)], color=colour, linewidth=1.2)
        axis.plot(k, found["lower_bound"][number][: len(k)], "--", color=colour, linewidth=1)
    axis.plot([], [], color="black", label=r"$\cos\beta$")
    axis.plot([], [], "--", color="black", label=r"its bound, $k \delta / \sqrt{k}$")
    axis.set(xlabel="corrections, $k$", ylabel=r"cosine of the angle to $w^*$", ylim=(0, 1.05), xscale="log")
    axis.set_title("The four sets with most mistakes")
    axis.legend(frameon=False, loc="center right")
    return figure


def draw_symmetry(found: Mapping[str, Arrays]) -> Figure:
    """Draw the difference of the units and the accuracy over the steps, every seed and the mean."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for axis, measure in zip(axes, ("difference", "accuracy"), strict=True):
        curves = {name: values[measure] for name, values in found.items()}
        plot_smooth_runs(axis, curves, 25, styles=("-", "-", "--"))
    axes[0].set_title("Largest difference of two hidden units' weights")
    axes[1].set(title="Accuracy on the batches", ylim=(0, 1.02))
    axes[0].legend(frameon=False, title="initialised with")
    return figure


def draw_units(found: Mapping[str, Arrays]) -> Figure:
    """Draw the learned weights of eight hidden units as pictures, in a row for each start."""
    figure = image_rows(
        {name: values["units"][0].T.reshape(-1, 8, 8)[:8] for name, values in found.items()}, kind="signed"
    )
    figure.suptitle("Weights into eight hidden units after learning: blue is positive, red negative", fontsize=11)
    return figure


def draw_gates(tables: np.ndarray, learned: neurons.Learned, names: Sequence[str]) -> Figure:
    """Draw each function's four points, and where the trained perceptron fires."""
    figure, axes = plt.subplots(4, 4, figsize=(8, 8.6), sharex=True, sharey=True)
    x1, x2 = np.meshgrid(np.linspace(-1.9, 1.9, 200), np.linspace(-1.9, 1.9, 200))
    corners = np.asarray(neurons.boolean_inputs(2))
    for k, axis in enumerate(axes.flat):
        separated = bool(learned.converged[k])
        if separated:
            w, b = np.asarray(learned.weights[k]), float(learned.bias[k])
            fires = w[0] * x1 + w[1] * x2 + b >= 0
            axis.contourf(x1, x2, fires, levels=[-0.5, 0.5, 1.5], colors=["white", COLOURS[0]], alpha=0.25)
        for value, colour in ((0, "white"), (1, COLOURS[0])):
            points = corners[tables[k] == value]
            axis.scatter(*points.T, s=70, c=colour, edgecolors="black", zorder=3)
        title = names[k] if separated else f"{names[k]}: no line"
        axis.set_title(title, fontsize=10, color="black" if separated else COLOURS[1])
        axis.set(xlim=(-1.9, 1.9), ylim=(-1.9, 1.9), xticks=[-1, 1], yticks=[-1, 1], aspect="equal")
        axis.grid(visible=False)
    figure.supxlabel("$x_1$")
    figure.supylabel("$x_2$")
    figure.suptitle("The 16 functions of two inputs: filled points are 1, the neuron fires in the shade")
    return figure


def draw_recall(digits: np.ndarray, cues: Arrays, found: Mapping[str, Arrays]) -> Figure:
    """Draw the digits, two kinds of cues, and what every network recalls from them, ``[trials, 10, 64]``."""
    rows = {"stored": digits}
    for cue, states in cues.items():
        rows[cue] = states[0]
        rows |= {f"{name}, {cue}".replace("_", "-"): by_cue[cue][0] for name, by_cue in found.items()}
    return image_rows({name: (1 - images.reshape(-1, 8, 8)) / 2 for name, images in rows.items()}, size=0.9)


def draw_capacity(
    loads: np.ndarray, overlaps: np.ndarray, theory: float, middle: float, most: Mapping[int, np.ndarray]
) -> Figure:
    """Draw the overlap ``[seeds, loads]`` by load, and the patterns ``[seeds]`` of attention by dimension."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8))
    plot_runs(axes[0], overlaps, COLOURS[0], x=loads)
    axes[0].axvline(theory, color="black", linewidth=0.8, linestyle=":", label=f"theory, {theory}")
    axes[0].axhline(middle, color="grey", linewidth=0.6)
    axes[0].set(xlabel="stored patterns per unit", ylabel="overlap after recall", title="Hebb's rule", ylim=(0, 1.02))
    sizes = np.array(list(most))
    for size, counts in most.items():
        axes[1].plot(np.full(len(counts), size), counts, "o", color=COLOURS[1], markersize=4)
    axes[1].plot(sizes, [np.mean(counts) for counts in most.values()], color=COLOURS[1], label="attention")
    axes[1].plot(sizes, theory * sizes, "--", color=COLOURS[0], label=f"{theory} D")
    axes[1].set(yscale="log", xlabel="dimension D", ylabel="patterns", title="Retrieved with an eighth of wrong bits")
    for axis in axes:
        axis.legend(frameon=False)
    return figure


def draw_maxout(x: np.ndarray, wanted: np.ndarray, parts: np.ndarray, pieces: int) -> Figure:
    """Draw a function with its approximation, and the two convex units ``[2, M]`` whose difference it is."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6))
    axes[0].plot(x, wanted, color="black", linewidth=2, label="function")
    axes[0].plot(x, parts[0] - parts[1], color=COLOURS[1], label=f"two units of {pieces} pieces")
    axes[0].set(xlabel="x", title="The difference")
    for part, colour, label in zip(parts, COLOURS, ("first unit", "second unit"), strict=False):
        axes[1].plot(x, part, color=colour, label=label)
    axes[1].set(xlabel="x", title="The units, both convex")
    for axis in axes:
        axis.legend(frameon=False)
    return figure


def draw_pieces(pieces: Sequence[int], constructed: np.ndarray, learned: np.ndarray) -> Figure:
    """Draw the largest errors ``[pieces, functions]`` of constructed and of learned units."""
    figure, axis = plt.subplots(figsize=(6, 3.8))
    for values, colour, label in ((constructed, COLOURS[0], "constructed"), (learned, COLOURS[1], "learned")):
        plot_runs(axis, values.T, colour, x=np.array(pieces), style="o-", label=label)
    axis.set(xscale="log", yscale="log", xlabel="pieces of each unit", ylabel="largest error")
    axis.set_xticks(pieces, pieces)
    axis.minorticks_off()
    axis.legend(frameon=False)
    return figure


def draw_predictions(score: np.ndarray, label: np.ndarray, ratios: np.ndarray, thresholds: np.ndarray) -> Figure:
    """Draw the predicted probabilities ``[splits, N]`` of both classes, and mean thresholds ``[splits, ratios]``."""
    figure, axis = plt.subplots(figsize=(7.5, 3.6))
    for name, own, colour in (("benign", label == 0, COLOURS[0]), ("malignant", label == 1, COLOURS[1])):
        axis.hist(score[own], np.linspace(0, 1, 41), color=colour, alpha=0.6, label=name)
    means = np.mean(np.minimum(thresholds, 1), axis=0)
    for ratio, threshold, side in zip(ratios, means, cycle(("right", "left")), strict=False):  # neighbours do not meet
        axis.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
        axis.text(threshold, axis.get_ylim()[1], f" {ratio:g} ", ha=side, va="bottom", fontsize=8)
    axis.set(yscale="log", xlabel="predicted probability; dotted: thresholds by the cost of a missed tumour")
    axis.legend(frameon=False, loc="upper center")
    return figure


def draw_costs(curve: Sequence[np.ndarray], ratios: np.ndarray, cost: np.ndarray, ways: Sequence[str]) -> Figure:
    """Draw the ROC curves of all splits, and the costs ``[splits, ways, ratios]`` by the cost of a missed tumour."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    for false, true in zip(curve[0], curve[1], strict=True):
        axes[0].step(false, true, where="post", color=COLOURS[0], linewidth=0.5, alpha=0.4)
    axes[0].set(xlabel="false positive rate", ylabel="true positive rate", title="ROC of every split")
    for i, way in enumerate(ways):
        plot_runs(axes[1], cost[:, i], COLOURS[i], x=ratios, style="o-", label=way)
    axes[1].set(xscale="log", yscale="symlog", xlabel="cost of a missed tumour", title="Cost of a patient in the test")
    axes[1].legend(frameon=False, title="threshold by")
    return figure
