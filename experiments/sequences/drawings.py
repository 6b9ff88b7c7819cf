"""Figures of the experiments on sequences."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, smooth
from experiments.harness.sequences.plots import (
    accuracy_bars,
    bars_of_runs,
    grouped_bars,
    legend,
    panels,
    plot_interval,
    plot_medians,
    plot_ranges,
    plot_variants,
)

Arrays = Mapping[str, np.ndarray]
Found = Mapping[str, Arrays]
"""Arrays by the name of a variant and of a measure."""
WORDS = 40
"""Words of a text whose gates are drawn."""


def draw_exposure(found: Found, taught: Sequence[str], units: Mapping[str, str]) -> Figure:
    """Draw the errors ``[taught, seeds, T]`` after the prompt, along the truth and along own outputs."""
    figure, (axes,) = panels(len(found), size=(4.6, 3.8))
    for axis, (name, values) in zip(axes, found.items(), strict=True):
        for i, (label, colour) in enumerate(zip(taught, COLOURS, strict=False)):
            for kind, style in (("free", "-"), ("forced", ":")):
                time = 1 + np.arange(values[kind].shape[-1])
                settings = {"style": style, "alpha": 0.12, "label": label if kind == "free" else None}
                plot_interval(axis, time, values[kind][i], colour, lowest=lambda mean: 0.2 * mean, **settings)
        axis.set(yscale="log", xlabel="step after the prompt", ylabel=units[name.split(",")[0]])
        axis.set_title(name)
    legend(axes[-1], title="trained by", fontsize=8, loc="center")
    figure.suptitle("Error along own words, and dotted along the truth", fontsize=11)
    return figure


def draw_teaching(p: np.ndarray, found: Found, taught: Sequence[str]) -> Figure:
    """Draw the teacher probabilities ``p [taught, steps]`` during training, and the losses."""
    figure, (axes,) = panels(1 + len(found), size=(4.2, 3.4))
    for i, (label, colour) in enumerate(zip(taught, COLOURS, strict=False)):
        axes[0].plot(p[i], color=colour, label=label)
        for axis, (name, values) in zip(axes[1:], found.items(), strict=True):
            axis.plot(smooth(values["loss"][i], 25).mean(axis=0), color=colour)
            axis.set(yscale="log", xlabel="step", title=f"Training loss, {name.replace(', ', chr(10))}")
    axes[0].set(xlabel="step", title="Teacher probability")
    legend(axes[0])
    return figure


def draw_lags(errors: Found, lags_of: Mapping[str, Sequence[int]], solved: float) -> Figure:
    """Draw the error ``[seeds, lags]`` of every task and network, of every seed and the median."""
    figure, axes = panels(len(errors), size=(6, 3.8), sharey=True)
    for axis, (task, found) in zip(axes[0], errors.items(), strict=True):
        lags = np.array(lags_of[task][: next(iter(found.values())).shape[1]])
        shown = {name: np.maximum(values, 1e-3) for name, values in found.items()}
        plot_medians(axis, lags, shown, spacing=1.03, colours=(*COLOURS, "#1a202c"))
        axis.axhline(solved, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", yscale="log", xlabel="lag in steps", title=f"{task}: solved below the dotted line")
        axis.set_xticks(lags, lags)
        axis.minorticks_off()
    axes[0, 0].set_ylabel("relative error")
    legend(axes[0, 0], fontsize=8)
    return figure


def draw_languages(
    found: Found, languages: Sequence[str], report_every: int, styles: Mapping[str, str], length: int
) -> Figure:
    """Draw the accuracy over the updates, and over the position in long strings."""
    figure, axes = panels(len(languages), size=(11 / 3, 2.8), rows=2)
    for number, language in enumerate(languages):
        curves = {name: values["curve"][number] for name, values in found.items()}
        updates = {name: report_every * np.arange(1, curve.shape[1] + 1) for name, curve in curves.items()}
        plot_variants(axes[0, number], curves, updates, styles=styles)
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            right = values["right"][number]
            places = np.arange(1, right.shape[-1] + 1)
            axes[1, number].plot(places, right.mean(axis=(0, 1)), styles[name], color=colour, linewidth=1.4)
        axes[0, number].set(title=language, xlabel="updates", ylim=(0.45, 1.02))
        axes[1, number].axvline(length, color="grey", linewidth=0.8, linestyle=":")
        axes[1, number].set(xlabel="bits read (dotted: length in training)", ylim=(0.45, 1.02), xscale="log")
    axes[0, 0].set_ylabel("accuracy in training")
    axes[1, 0].set_ylabel("accuracy on long strings")
    legend(axes[0, 0])
    return figure


def draw_language_stream(found: Found, languages: Sequence[str], styles: Mapping[str, str]) -> Figure:
    """Draw the outputs of the first run of each cell for the first 64 bits of a string, and the labels."""
    figure, axes = panels(1, size=(11, 5 / 3), rows=len(languages), sharex=True)
    for number, (axis, language) in enumerate(zip(axes[:, 0], languages, strict=True)):
        first = next(iter(found.values()))
        bits, label = (first[part][number, 0][:64] for part in ("bits", "label"))
        axis.bar(np.arange(len(bits)), label, color="lightgrey", width=1.0)
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            axis.plot(values["probability"][number, 0][:64], styles[name], linewidth=1.4, color=colour, label=name)
        for place, bit in enumerate(bits):
            axis.text(place, -0.22, str(bit), ha="center", fontsize=7)
        axis.set(ylabel=language, ylim=(-0.3, 1.05), yticks=[0, 1], xticks=[])
        axis.grid(visible=False)
    axes[0, 0].set_title("Probability that the string so far is in the language; grey: it is", fontsize=10)
    legend(axes[0, 0], fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draw_speed(found: Found, milliseconds: Mapping[str, float], report_every: int) -> Figure:
    """Draw the accuracies over updates and over time, every seed and the mean."""
    figure, axes = panels(2, size=(4.5, 3), rows=2, sharey=True)
    for row, (task, curves) in zip(axes, found.items(), strict=True):
        steps = {name: report_every * np.arange(1, curve.shape[1] + 1) for name, curve in curves.items()}
        plot_variants(row[0], curves, steps)
        plot_variants(row[1], curves, {name: x * milliseconds[name] / 1e3 for name, x in steps.items()})
        row[0].set(xlabel="updates", ylabel="accuracy on new sequences", title=task, ylim=(0.45, 1.02))
        row[1].set(xlabel="seconds of training", title=task, xscale="log")
    legend(axes[0, 0])
    return figure


def draw_decay(decay: Arrays, bounds: Arrays, radii: Mapping[str, float], activations: Sequence[str]) -> Figure:
    """Draw the norms of vanilla networks by lag, with their bound; the names begin with that of the activation."""
    figure, (axes,) = panels(len(activations), size=(14 / 3, 4), sharey=True)
    for axis, activation in zip(axes, activations, strict=True):
        names = [name for name in radii if name.startswith(activation)]
        lags = np.arange(decay[names[0]].shape[1])
        plot_ranges(axis, lags, {f"{radii[name]:g} / gamma": 10.0 ** decay[name] for name in names})
        for name, colour in zip(names, COLOURS, strict=False):
            bound = np.exp(np.log(bounds[name]).mean(axis=0))
            axis.plot(lags, bound, "--", color=colour, linewidth=1)
            axis.plot(lags, radii[name] ** lags, ":", color=colour, linewidth=1)
        axis.set(yscale="log", ylim=(1e-15, 1e15), xlabel="t - k", title=f"vanilla network, {activation}")
    axes[0].set_ylabel("norm of d s_t / d s_k")
    legend(axes[0], title="spectral radius", loc="lower left")
    dashed = axes[1].plot([], [], "k--", linewidth=1, label="(gamma largest singular value)^(t - k)")
    dotted = axes[1].plot([], [], "k:", linewidth=1, label="(gamma spectral radius)^(t - k)")
    legend(axes[1], handles=dashed + dotted, loc="lower left", fontsize=8)
    return figure


def draw_paths(lstm: Found, biases: Mapping[str, float]) -> Figure:
    """Draw the two paths of an LSTM's gradient by lag."""
    figure, (axes,) = panels(len(biases), size=(13 / 3, 3.6), sharey=True)
    for axis, (name, bias) in zip(axes, biases.items(), strict=True):
        norms = {part: np.maximum(lstm[part][name], 1e-30) for part in ("forget", "output", "total")}
        plot_ranges(axis, np.arange(norms["total"].shape[1])[::-1], norms)
        axis.set(yscale="log", ylim=(1e-20, 1e4), xlabel="T - k", title=f"{name}: forget bias {bias:g}")
    axes[0].set_ylabel("norm of the part of d c_T / d c_k")
    legend(axes[0], title="path")
    return figure


def draw_heat(shown: Arrays) -> Figure:
    """Draw the norms ``[t, k]`` between all pairs of times of one network of each kind."""
    figure, (axes,) = panels(len(shown), size=(2.6, 3), sharey=True)
    for axis, (name, norms) in zip(axes, shown.items(), strict=True):
        logarithm = np.ma.masked_less_equal(norms, 0)
        image = axis.imshow(np.ma.log10(logarithm), cmap="RdBu_r", vmin=-6, vmax=6)
        axis.set(title=name, xlabel="k")
        axis.grid(visible=False)
    axes[0].set_ylabel("t")
    figure.colorbar(image, ax=axes, label="log10 of the norm of d s_t / d s_k", shrink=0.9)
    return figure


def draw_clipping(
    rates: np.ndarray, last: np.ndarray, chosen: Mapping[str, int], variants: Mapping[str, str]
) -> Figure:
    """Draw the last loss ``[variants, rates, runs]`` by rate, every run and the median, in the variants' colours."""
    figure, ((axis,),) = panels(1, size=(6.5, 3.8))
    shown = {variant: np.minimum(values, 1e3).T for variant, values in zip(variants, last, strict=True)}
    plot_medians(axis, rates, shown, spacing=1.05, colours=variants.values())
    axis.axhline(1 / 6, color="black", linewidth=0.8, linestyle=":", label="loss without memory")
    for (name, i), style in zip(chosen.items(), ("--", "-."), strict=True):
        axis.axvline(rates[i], color="black", linewidth=0.8, linestyle=style, label=f"{name} rate")
    axis.set(xscale="log", yscale="log", xlabel="learning rate", title="Last loss; at the top: beyond, or NaN")
    legend(axis, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def draw_norms(
    found: Arrays, rates: np.ndarray, chosen: Mapping[str, int], variants: Mapping[str, str], largest: float
) -> Figure:
    """Draw the losses of all runs at both rates, and the norms of one run's gradient before and after clipping."""
    figure, (axes,) = panels(3, size=(14 / 3, 3.8))
    for axis, (name, i) in zip(axes, chosen.items(), strict=False):
        for k, (variant, colour) in enumerate(variants.items()):
            loss = np.minimum(np.nan_to_num(found["loss"][k, i], nan=np.inf), largest)
            axis.plot(loss.T, color=colour, linewidth=0.5, alpha=0.5)
            axis.plot(np.median(loss, axis=0), color=colour, label=variant)
        axis.set(yscale="log", xlabel="step", title=f"Loss at the {name} rate, {rates[i]:.2g}")
    legend(axes[0])
    for part, colour in (("before", COLOURS[1]), ("after", COLOURS[0])):
        axes[2].plot(found[part][1, chosen["exploding"], 0], ".", color=colour, markersize=3, label=part)
    axes[2].set(yscale="log", xlabel="step", title="Norm of one run's gradient, before and after clipping")
    legend(axes[2])
    return figure


def draw_memories(found: Found, length: int, titles: Mapping[str, str]) -> Figure:
    """Draw memory, saturation and error along the stream, every seed and the mean."""
    figure, axes = panels(3, size=(13 / 3, 3.6))
    for axis, (measure, title) in zip(axes[0], titles.items(), strict=True):
        curves = {name: smooth(values[measure], length) for name, values in found.items()}
        plot_variants(axis, curves, {name: length + np.arange(curve.shape[1]) for name, curve in curves.items()})
        axis.axvline(length, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlabel="step of the stream; dotted: length in training", title=title)
        axis.set_yscale("linear" if measure == "saturated" else "log")
    legend(axes[0, 0])
    return figure


def draw_strokes(part: Mapping[str, Any]) -> Figure:
    """Draw three images of each digit and the path of the pen: a colour per stroke, from the dot."""
    figure, ((axis,),) = panels(1, size=(12, 3.8))
    edge = part["image"].shape[1]
    for digit in range(10):
        for row, number in enumerate(np.flatnonzero(part["label"] == digit)[:3]):
            corner = edge * np.array([digit, row])
            left, top = corner - 0.5
            extent = (left, left + edge, top + edge, top)
            axis.imshow(part["image"][number], cmap="Greys", vmin=0, vmax=2, extent=extent)
            for stroke, colour in zip(part["drawing"][number], itertools.cycle(COLOURS)):
                axis.plot(*(stroke + corner).T, color=colour, linewidth=1.8)
                axis.plot(*(stroke[0] + corner), "o", color=colour, markersize=4)
    axis.set(xlim=(-0.5, 10 * edge - 0.5), ylim=(3 * edge - 0.5, -0.5))
    axis.set_axis_off()
    return figure


def draw_reviews(histories: Mapping[str, Sequence[dict]], result: Mapping[str, float], title: str) -> Figure:
    """Draw the accuracy in training and the accuracies of the test."""
    figure, (axes,) = panels(2, size=(5, 3.6))
    for history, colour in zip(histories.values(), COLOURS, strict=False):
        axes[0].plot([row["epoch"] for row in history], [row["train/accuracy"] for row in history], color=colour)
    axes[0].set(xlabel="epoch", ylabel="accuracy in training", ylim=(0.45, 1.02), title=title)
    colours = [*COLOURS[:3], *["grey"] * len(result)]
    accuracy_bars(axes[1], result, lambda i, name: colours[i], prefix=f"{title}_", xlim=(0.5, 1.05))
    return figure


def draw_tags(scores: Arrays, tags: Sequence[str]) -> Figure:
    """Draw the F1 scores of every tag for the taggers and the tables."""
    figure, ((axis,),) = panels(1, size=(11, 3.8))
    grouped_bars(axis, scores, tags)
    axis.set(ylabel="F1", ylim=(0, 1.02))
    legend(axis, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def draw_accuracies(result: Mapping[str, float]) -> Figure:
    """Draw the accuracies of the test."""
    figure, ((axis,),) = panels(1, size=(6.5, 2.4))
    accuracy_bars(axis, result, lambda i, name: COLOURS[2 if "logistic" in name else 1 if "shuffled" in name else 0])
    return figure


def draw_ways(found: Mapping[str, Found]) -> Figure:
    """Draw the losses of all ways of training, and the errors along own outputs, of every seed."""
    figure, axes = panels(len(found), size=(5.4, 3.2), rows=2)
    for number, (task, ways) in enumerate(found.items()):
        curves = {way: smooth(values["loss"], 25) for way, values in ways.items()}
        plot_variants(axes[0, number], curves, {way: np.arange(c.shape[1]) for way, c in curves.items()})
        axes[0, number].set(title=f"{task}: loss", xlabel="update", yscale="log")
        bars_of_runs(axes[1, number], {way.replace(" ", "\n"): values["error"] for way, values in ways.items()})
        axes[1, number].set(title="wrong symbols along own outputs", ylim=(0, 1))
    legend(axes[0, 0], fontsize=8)
    return figure


def draw_places(found: Found, seen: Arrays) -> Figure:
    """Draw the share of right dates ``[seeds, places]`` by place; places in training are grey."""
    figure, (axes,) = panels(len(found), size=(4.4, 3.2), sharey=True)
    for axis, (name, networks) in zip(axes, found.items(), strict=True):
        for place in np.flatnonzero(seen[name]):
            axis.axvspan(place - 0.5, place + 0.5, color="lightgrey", alpha=0.5, linewidth=0)
        plot_variants(axis, networks, np.arange(len(seen[name])))
        axis.set(title=f"dates {name} in training", xlabel="place of the date", ylim=(-0.02, 1.02))
    axes[0].set_ylabel("right dates")
    legend(axes[-1], loc="lower center")
    return figure


def draw_gates(shown: Arrays, words: Sequence[str], found: Found, length: int) -> Figure:
    """Draw the mean forget gate along a sentence, and the accuracies of all cells on pronouns, of every seed."""
    figure, (axes,) = panels(2, size=(7, 3.6), width_ratios=(3, 1))
    steps = np.arange(min(length, WORDS))
    axes[0].bar(steps, shown["gates"][steps], color=COLOURS[0], alpha=0.5)
    axes[0].step(steps, shown["gender"][steps], color=COLOURS[1], where="mid", label="last noun (1: male)")
    axes[0].set_xticks(steps, [words[token] for token in shown["token"][steps]], rotation=90, fontsize=7)
    axes[0].set(title="Mean forget gate", ylim=(-0.03, 1.05))
    legend(axes[0], fontsize=8)
    both = {
        f"{name.split(' (')[0]}\n{part}": values[part] for name, values in found.items() for part in ("short", "long")
    }
    bars_of_runs(axes[1], both)
    axes[1].tick_params(axis="x", labelsize=7)
    axes[1].set(title="Pronouns right", ylim=(0.4, 1.02))
    return figure


def draw_activations(curves: Arrays, errors: Arrays, norms: Arrays, without: float) -> Figure:
    """Draw losses relative to that without memory, the last errors, and the first gradients, of every run."""
    figure, (axes,) = panels(3, size=(14 / 3, 3.6))
    relative = {
        name: np.minimum(smooth(np.nan_to_num(loss, nan=100), 50) / without, 100) for name, loss in curves.items()
    }
    plot_variants(axes[0], relative, {name: np.arange(curve.shape[1]) for name, curve in relative.items()})
    axes[0].set(yscale="log", xlabel="update", title="Loss relative to that without memory")
    legend(axes[0], fontsize=8)
    bars_of_runs(axes[1], {name.replace(", ", ",\n"): values for name, values in errors.items()})
    axes[1].set(title="Last error", yscale="log")
    bars_of_runs(axes[2], norms)
    axes[2].set(title="Norm of the first gradient, radius 1.5", yscale="log")
    return figure


def draw_removal(accuracy: Mapping[float, np.ndarray], left: Mapping[float, float], polarity: np.ndarray) -> Figure:
    """Draw the accuracies ``[seeds]`` by the words that are left of a review, and the polarities of all words."""
    figure, (axes,) = panels(2, size=(5, 3.4))
    for (cutoff, values), colour in zip(accuracy.items(), (*COLOURS, "black"), strict=False):
        axes[0].plot(np.full(len(values), left[cutoff]), values, "o", color=colour, label=f"{cutoff:g}")
    axes[0].set(xlabel="words left of a review", ylabel="accuracy in the test", title="By the least polarity")
    legend(axes[0], fontsize=8)
    axes[1].hist(polarity, 60, color=COLOURS[0])
    axes[1].set(yscale="log", xlabel="polarity", ylabel="words of the vocabulary")
    return figure
