"""Compile the training step of registered models for TPUs that are not there: memory, operations, communication.

The compiler runs in a process of its own, which needs no TPU. A report is one line of JSON; ``--all`` appends to FILE a
line for each model that it does not have yet, so it can be stopped and started again.
"""

import argparse
import ast
import dataclasses
import functools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.harness import terminal
from experiments.harness.errors import UsageError, check_writable, preparing
from jaxdl import models
from jaxdl.train import parallel
from jaxdl.train.parallel import aot, scaling

RULES = {"replicated": parallel.replicated, "fully_sharded": parallel.fully_sharded}
SPEED = 0.4
"""The share of a chip's peak that predictions assume."""
SCALES = {8: "2x4", 64: "8x8", 256: "16x16"}
"""Numbers of chips for which a step is predicted, and how they are arranged."""
ROWS = {32: 64, 224: 8, 299: 8, 512: 1, 520: 1, 572: 1, 800: 1}
"""Rows of each chip for ``--all``, by the first dimension of an input; 4 for others."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What to compile, and for which chips."""

    model: str
    topology: str
    mesh: str
    batch_size: int
    length: int | None
    precision: str
    rule: str
    changes: dict[str, Any]
    quick: bool = False


def main(arguments: list[str]) -> int:
    """Compile a model, or all of them, and print the report."""
    flags = _parse(arguments)
    check_writable(flags.json)
    with preparing():
        aot.check_installed()
        aot.chip_of(flags.topology)
    if aot.environment().items() - os.environ.items():  # read once, when JAX is imported
        command = [sys.executable, "-m", "experiments", "compile", *arguments]
        return subprocess.run(command, env={**os.environ, **aot.environment()}, check=False).returncode
    if flags.all:
        return _compile_all(flags)
    report = examine(_setting(flags, flags.model, flags.batch_size or parallel.parse_mesh(flags.mesh).get("data", 1)))
    terminal.console().print(table_of(report))
    if flags.json:
        with Path(flags.json).open("a") as file:
            file.write(json.dumps(report) + "\n")
    return 0 if report["fits"] else 1


def examine(setting: Setting) -> dict[str, Any]:
    """Compile a setting and return its report, which JSON can hold.

    Raises:
        UsageError: the model, a field of it, the topology or the mesh is wrong.
    """
    from experiments.harness.commands.workloads import workload

    chip = aot.chip_of(setting.topology)
    with preparing():
        mesh = aot.topology_mesh(setting.topology, parallel.parse_mesh(setting.mesh))
        rows = setting.batch_size // parallel.data_devices(mesh)
        parallel.check_divisible(setting.batch_size, parallel.data_devices(mesh))
    work = workload(
        setting.model,
        setting.batch_size,
        length=setting.length,
        precision=setting.precision,
        wrap=functools.partial(parallel.gather_by_block, mesh=mesh) if setting.rule == "fully_sharded" else None,
        **setting.changes,
    )
    report = aot.examine_step(work.step, work.state, work.batch, mesh, chip, RULES[setting.rule], quick=setting.quick)
    is_sharded = setting.rule != "replicated"
    return {
        **dataclasses.asdict(setting),
        **report._asdict(),
        "collectives": [found._asdict() for found in report.collectives],
        "chips": mesh.size,
        "memory": chip.memory,
        "verdict": aot.advise(report, chip, rows, is_sharded=is_sharded),
        "scaling": predict(report, setting.topology, mesh.size),
    }


def predict(report: aot.Report, topology: str, chips: int) -> list[dict[str, float]]:
    """Predict the step, with as many rows a chip, at several numbers of chips and an assumed share of the peak."""
    chip, found = aot.chip_of(topology), []
    for count, grid in SCALES.items() if report.fits else ():
        links = scaling.torus_share(f"v5e:{grid}") * chip.link_bandwidth
        speed = SPEED * chip.operations
        (one,) = scaling.weak_scaling(
            report.operations, report.collectives, chips, [count], speed=speed, bandwidth=links
        )
        found.append({**one._asdict(), "communication_share": one.communication_share})
    return found


def table_of(report: dict[str, Any]) -> Table:
    """Make the table of a report."""
    table = Table(title=f"{report['model']} for {report['topology']}, mesh {report['mesh']}", show_header=False)
    rows, chips = report["batch_size"] / report["chips"], report["chips"]
    for name in ("batch_size", "length", "precision", "rule", "quick", "changes"):
        if report[name]:
            table.add_row(name.replace("_", " "), str(report[name]))
    table.add_row("rows a chip", f"{rows:g}")
    table.add_row("memory a chip", f"{_gib(report['peak'])} of {_gib(report['memory'])}")
    table.add_row("  state and batch", _gib(report["arguments"]))
    table.add_row("  temporaries", _gib(report["temporaries"]))
    table.add_row("operations a step", f"{report['operations']:.4g}, {report['operations'] / chips:.4g} a chip")
    if report["bytes_accessed"] is not None:
        table.add_row("bytes accessed", f"{_gib(report['bytes_accessed'])} a chip (loops once)")
    for found in report["collectives"]:
        table.add_row(found["kind"], f"{found['count']} a step, {found['bytes'] / 1e6:,.2f} MB")
    for one in report["scaling"]:
        share = f"{100 * one['communication_share']:.1f} % communication, if nothing overlaps"
        table.add_row(f"predicted, {one['chips']} chips", share)
    table.add_row("compiled in", f"{report['seconds']:.0f} s")
    table.add_row("verdict", report["verdict"])
    return table


def markdown(lines: Sequence[str]) -> str:
    """Make the table of the documentation from the lines of a file of ``--all``.

    >>> print(markdown(['{"model": "mlp", "error": "no task"}']))
    | model | rows a chip | memory a chip, GiB | temporaries | operations a chip | collectives, MB | compiled, s | |
    |---|---|---|---|---|---|---|---|
    | `mlp` | | | | | | | no task |
    """
    heads = "model|rows a chip|memory a chip, GiB|temporaries|operations a chip|collectives, MB|compiled, s|"
    rows = ["| " + " | ".join(heads.split("|")) + "|", "|---" * 8 + "|"]
    for report in map(json.loads, lines):
        if "error" in report:
            rows.append(f"| `{report['model']}` | | | | | | | {report['error']} |")
            continue
        sent = ", ".join(f"{one['kind']} {one['bytes'] / 1e6:.1f}" for one in report["collectives"])
        temporaries = "" if report["temporaries"] is None else f"{report['temporaries'] / 2**30:.2f}"
        cells = (
            f"`{report['model']}`",
            f"{report['batch_size'] / report['chips']:g}",
            f"{report['peak'] / 2**30:.2f}",
            temporaries,
            f"{report['operations'] / report['chips']:.3g}",
            sent,
            f"{report['seconds']:.0f}" + " (quick)" * report.get("quick", False),
            "" if report["fits"] else report["verdict"],
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _compile_all(flags: argparse.Namespace) -> int:
    """Compile all models that the file lacks, one after the other, and print their table."""
    if not flags.json:
        raise UsageError("--all: expected --json FILE, to which a line is appended for each model")
    path = Path(flags.json)
    lines = path.read_text().splitlines() if path.exists() else []
    done = {json.loads(line)["model"] for line in lines}
    console = terminal.console()
    for name in models.list(flags.model or "*"):
        if name in done:
            continue
        rows = ROWS.get(models.input_shape(name)[0], 4)
        chips = parallel.parse_mesh(flags.mesh).get("data", 1)
        setting = _setting(flags, name, rows * chips)
        if hasattr(models.create(name), "scan_blocks"):
            setting = dataclasses.replace(setting, changes={"scan_blocks": True, **setting.changes})
        try:
            report = examine(setting)
        except Exception as error:  # the next model has its chance: one failure is a line of the table
            report = {"model": name, "error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        with path.open("a") as file:
            file.write(json.dumps(report) + "\n")
        console.print(f"{name}: {report.get('verdict') or report['error']}", highlight=False)
    sys.stdout.write(markdown(path.read_text().splitlines()) + "\n")
    return 0


def _setting(flags: argparse.Namespace, name: str, batch_size: int) -> Setting:
    changes = dict(_field(text) for text in flags.set)
    if flags.remat is not None:
        changes["remat"] = flags.remat
    return Setting(
        name, flags.topology, flags.mesh, batch_size, flags.length, flags.precision, flags.rule, changes, flags.quick
    )


def _field(text: str) -> tuple[str, Any]:
    """Parse ``NAME=VALUE``; a value that is no literal of Python is a text.

    >>> _field("depths=(1, 1)"), _field("stem=cifar")
    (('depths', (1, 1)), ('stem', 'cifar'))
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set: expected NAME=VALUE, got {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _gib(size: float | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.2f} GiB"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments compile", description=__doc__)
    parser.add_argument("model", nargs="?", help="name of a registered model; with --all a shell pattern of names")
    parser.add_argument("--all", action="store_true", help="compile all models that FILE lacks, print their table")
    parser.add_argument("--topology", default="v5e:2x4", help="chips, such as v5e:2x4 or v5e:16x16")
    parser.add_argument("--mesh", default="data=8", help="axes of the mesh")
    parser.add_argument("--batch-size", type=int, help="rows on all chips; one a chip by default")
    parser.add_argument("--length", type=int, help="tokens of a row")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rule", default="replicated", choices=tuple(RULES), help="layout of the parameters")
    parser.add_argument("--remat", help="the field remat of the model: what is computed again backward")
    parser.add_argument("--quick", action="store_true", help="with the compiler's least effort: estimates, in seconds")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of the model")
    parser.add_argument("--json", metavar="FILE", help="append the report to FILE, one line")
    flags = parser.parse_args(arguments)
    if not flags.model and not flags.all:
        raise UsageError("expected the name of a model, or --all; python -m jaxdl models lists them")
    return flags
