"""Figures of the experiments on sequences."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, smooth
from experiments.harness.sequence_plots import legend, panels, plot_interval

Found = Mapping[str, Mapping[str, np.ndarray]]
"""Arrays by the name of a variant and of a measure."""


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
