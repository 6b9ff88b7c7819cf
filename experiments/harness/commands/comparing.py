"""``python -m experiments compare RUN RUN...``: a table of results, and the curves of the runs over each other."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from rich.table import Table

from experiments.harness import terminal
from experiments.harness.errors import UsageError, check_writable
from experiments.harness.run_folder import read_json, read_manifest
from jaxdl import train

CURVES = ("train/loss", "evaluation/loss", "evaluation/accuracy")


def main(arguments: list[str]) -> int:
    """Print the table of two or more run folders, and draw their curves into a file."""
    path = "compare.png"
    if "--out" in arguments:
        at = arguments.index("--out")
        if at + 1 == len(arguments):
            raise UsageError("expected --out FILE, got no file")
        path, arguments = arguments[at + 1], arguments[:at] + arguments[at + 2 :]
    if len(arguments) < 2:
        raise UsageError(f"expected the paths of two or more run folders, got {len(arguments)}")
    check_writable(path)
    folders = [Path(argument) for argument in arguments]
    manifests = {str(folder): read_manifest(folder) for folder in folders}
    console = terminal.console()
    console.print(results(manifests))
    console.print(settings({str(folder): read_json(folder / "config.json") for folder in folders}))
    histories = {
        str(folder): train.MetricsFile.read(folder / "metrics.jsonl")
        for folder in folders
        if (folder / "metrics.jsonl").exists()
    }
    figure = overlaid(histories)
    if figure is not None:
        figure.savefig(path, dpi=130)
        console.print(f"curves: {path}")
    return 0


def results(manifests: dict[str, dict[str, Any]]) -> Table:
    """Make a table with a row for each measure and a column for each run."""
    table = Table("measure", *manifests)
    measures = dict.fromkeys(name for manifest in manifests.values() for name in manifest["result"])
    for measure in measures:
        table.add_row(measure, *(_shown(manifest["result"].get(measure)) for manifest in manifests.values()))
    return table


def settings(configs: dict[str, dict[str, Any]]) -> Table:
    """Make a table of the settings in which the runs differ."""
    table = Table("setting", *configs)
    flat = [_flatten(config) for config in configs.values()]
    for name in dict.fromkeys(name for config in flat for name in config):
        values = [config.get(name) for config in flat]
        if any(value != values[0] for value in values):
            table.add_row(name, *map(_shown, values))
    return table


def overlaid(histories: dict[str, list[dict[str, Any]]]) -> Figure | None:
    """Plot the curves that the runs have, one over the other; None if there are none."""
    names = [name for name in CURVES if any(name in row for rows in histories.values() for row in rows)]
    if not names:
        return None
    figure, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names), 3.2), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], names, strict=True):
        for run, rows in histories.items():
            found = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None and "epoch" in row]
            axis.plot(*zip(*found, strict=True), label=run) if found else None
        axis.set(xlabel="epoch", title=name)
        axis.legend(frameon=False, fontsize="small")
    return figure


def _flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in config.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
