"""Figures of reinforcement learning and planning."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.claims import interval
from experiments.harness.figures import COLOURS, plot_band, show_images
from experiments.harness.sequences.plots import legend, panels
from jaxdl.rl.environments import GridWorld
from jaxdl.rl.environments.grids import MOVES

Curve = tuple[np.ndarray, np.ndarray]
"""Frames ``[reports]`` and values ``[seeds, reports]``."""


def draw_learning(curves: Mapping[str, Curve], *, goal: Mapping[str, float]) -> Figure:
    """Draw metrics over the frames of a seed: every seed, the mean and its confidence interval, and goals, dotted."""
    figure, (axes,) = panels(len(curves), size=(4.6, 3.2))
    for axis, (name, (frames, values)), colour in zip(axes, curves.items(), COLOURS, strict=False):
        axis.plot(frames, values.T, color=colour, linewidth=0.4, alpha=0.4)
        mean, low, high = np.array([interval(column) for column in values.T]).T
        shown = np.isfinite(low)  # a single seed has no interval
        plot_band(axis, frames, mean, np.where(shown, low, mean), np.where(shown, high, mean), colour, alpha=0.25)
        if name in goal:
            axis.axhline(goal[name], color="black", linewidth=0.8, linestyle=":")
        axis.set(xlabel="thousand frames of a seed", title=name)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}")
    return figure


def draw_frames(images: np.ndarray, rewards: np.ndarray) -> Figure:
    """Draw the frames of episodes, images ``[episodes, T, H, W]``, and the returns ``[episodes]``."""
    figure, axes = panels(images.shape[1], size=(0.9, 1.7), rows=len(images))
    for row, frames, reward in zip(axes, images, rewards, strict=True):
        show_images(row, list(frames), cmap="gray", vmin=0, vmax=1)
        row[0].set_ylabel(f"return {reward:+.0f}", fontsize=8)
    return figure


def draw_values(world: GridWorld, values: Mapping[str, np.ndarray], policies: Mapping[str, np.ndarray]) -> Figure:
    """Draw values ``[S]`` of a grid world as maps, and the most probable actions of policies ``[S, A]`` as arrows."""
    figure, (axes,) = panels(len(values), size=(4.2, 3.6))
    limit = max(np.abs(value).max() for value in values.values())
    for axis, (name, value) in zip(axes, values.items(), strict=True):
        shown = np.ma.masked_where(world.signs == "#", value.reshape(world.signs.shape))
        image = axis.imshow(shown, cmap="RdBu", vmin=-limit, vmax=limit)
        _draw_actions(axis, world, policies[name])
        axis.set(title=name, xticks=[], yticks=[])
        axis.grid(visible=False)
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def _draw_actions(axis: Axes, world: GridWorld, policy: np.ndarray) -> None:
    """Draw an arrow in every field, and the sign of a goal or a pit."""
    for ((row, column), sign), probabilities in zip(np.ndenumerate(world.signs), policy, strict=True):
        if sign in "GX":
            axis.text(column, row, sign, ha="center", va="center")
        elif sign != "#":
            down, right = 0.4 * np.array(MOVES[int(probabilities.argmax())])
            axis.arrow(column - right / 2, row - down / 2, right, down, head_width=0.15, color="black")


def draw_search(simulations: Sequence[int], shares: Mapping[str, np.ndarray]) -> Figure:
    """Draw shares ``[budgets]`` over the numbers of simulations."""
    figure, axis = plt.subplots(figsize=(4.8, 3.2))
    for (name, values), colour in zip(shares.items(), COLOURS, strict=False):
        axis.plot(simulations, values, "o-", color=colour, label=name, markersize=4)
    axis.set(xscale="log", xlabel="simulations a move", ylabel="share")
    axis.set_xticks(simulations, simulations)
    axis.minorticks_off()
    legend(axis)
    return figure


def draw_boards(boards: np.ndarray, weights: np.ndarray) -> Figure:
    """Draw boards ``[N, 3, 3]``, 1 for the player to move and -1 for the other, and the share of visits of moves."""
    figure, (axes,) = panels(len(boards), size=(2.2, 2.2))
    for axis, board, weight in zip(axes, boards, weights, strict=True):
        axis.imshow(weight, cmap="Blues", vmin=0, vmax=1)
        for (row, column), sign in np.ndenumerate(board):
            text = "X" if sign > 0 else "O" if sign < 0 else f"{weight[row, column]:.2f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=16 if sign else 8)
        axis.set(xticks=np.arange(2) + 0.5, yticks=np.arange(2) + 0.5, xticklabels=[], yticklabels=[])
    return figure
