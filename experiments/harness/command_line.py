"""The command line of the experiments."""

import contextlib
import dataclasses
import functools
import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from experiments.harness import catalogue, joint, terminal
from experiments.harness.commands import comparing, sweeping
from experiments.harness.configuration import Config, as_dict, parse
from experiments.harness.errors import UsageError, check_writable, unknown
from experiments.harness.migration import upgrade
from experiments.harness.run_folder import Run, read_manifest
from experiments.harness.training import Interrupted
from jaxdl import train
from jaxdl.train import parallel

USAGE = """usage: python -m experiments COMMAND

  list                       list the experiments by chapter
  run NAME [--flags]         run an experiment; run NAME --help lists its flags
                             --config FILE reads a saved configuration, --set FLAG=VALUE,VALUE runs a sweep
  show RUN                   print the manifest and the files of a run folder
  card RUN [--out FILE]      write the model card of a run, by default CARD.md in its folder
  predict RUN FILE...        print the most probable classes of images, by a run of a classifier
  compare RUN RUN... [--out FILE]
                             print the results and different settings of runs, and draw their curves
  sample RUN [--count N] [--seed N]
                             draw images from the trained model of a run folder
  chat RUN                   talk to the trained model of a run folder, a turn a line
  claims [--smoke] [--json FILE] [--out DIR]
                             measure the textbook's claims and print verdicts
  audit                      recompute the textbook's worked examples
  stress [--short | --full] [--seed N] [--only KIND]
                             attack with killed runs, damaged files and bad settings; count what got through
  compile MODEL [--topology v5e:2x4] [--mesh data=8] [--flags]
                             compile a training step for TPUs that are not there: memory, operations, communication;
                             --all --json FILE compiles every model, compile --help lists the flags
  bench [NAME] [--only TEXT] [--json FILE]
                             compare our time with the peers'; without a name, list the benchmarks
  bench gpu [--minutes 8] [--only ROW,ROW] [--json FILE] [--smoke]
                             what matters on one GPU, each row in a process of its own, with torch
"""


def main(arguments: list[str]) -> int:
    """Run a command and return the exit status: 0, or 2 after an error of usage."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0
    command, *rest = arguments
    try:
        if command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        if command not in OWN_HELP and rest in (["-h"], ["--help"]):
            sys.stdout.write(USAGE)
            return 0
        return COMMANDS[command](rest)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def list_experiments(arguments: list[str]) -> int:
    """Print the name and the title of every experiment and preset, by chapter."""
    _no_more(arguments)
    table = Table(box=None, show_header=False, pad_edge=False)
    for chapter, members in catalogue.chapters().items():
        table.add_row(Text(chapter, "bold"), Text(catalogue.title(chapter), "bold"))
        for name in members:
            indent = "    " if name in catalogue.PRESETS else "  "
            table.add_row(f"{indent}{name}", catalogue.header(name).splitlines()[0])
        table.add_section()
        table.add_row()
    console = terminal.console()
    console.print(table)
    console.print("Run one with: python -m experiments run NAME", highlight=False)
    return 0


def execute(experiment: catalogue.Experiment, config: Config, run: Run) -> dict[str, Any]:
    """Run an experiment, with the settings of a smoke run where the run is one."""
    return experiment.run(divisible(config.smoke(), run) if run.smoke else config, run)


def divisible(config: Config, run: Run) -> Config:
    """Increase the batch size of a smoke run until the devices divide its microbatches."""
    devices = parallel.data_devices(run.mesh) * getattr(config, "accumulate", 1)
    found = {name: getattr(config, name, None) for name in ("batch_size", "streams")}
    sizes = {name: size + -size % devices for name, size in found.items() if isinstance(size, int)}
    return dataclasses.replace(config, **sizes) if devices > 1 else config


def run_experiment(arguments: list[str], member: joint.Member | None = None) -> int:
    """Run an experiment in a run folder, as a member of a sweep or alone, and print its result and its goal."""
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("expected the name of an experiment; python -m experiments list prints them")
    name, *flags = arguments
    experiment = catalogue.load(name)
    swept, flags = sweeping.take_values(flags, "--set")
    if swept:
        return run_sweep(name, flags, swept)
    files, flags = sweeping.take_values(flags, "--config")
    default = functools.reduce(lambda config, path: sweeping.read_config(path, config), files, experiment.default)
    config, options = parse(name, default, flags)
    run = Run.from_options(name, as_dict(config), options)
    run.upgrade = functools.partial(upgrade, default=experiment.default)
    run.member = member
    return conduct(experiment, config, run, {} if options.smoke else experiment.goal)


def run_sweep(name: str, flags: list[str], settings: list[str]) -> int:
    """Run an experiment with every combination of settings, one after the other, each in a folder of its own.

    Image classifiers that differ in their learning rate alone are trained together, as one program. The folders are in
    ``--out DIR``, by default a new one under runs/. A table of the results ends the sweep; the exit status is the
    largest of the runs.
    """
    given, flags = sweeping.take_values(flags, "--out")
    parent = Path(given[-1]) if given else Run(f"{name}-sweep", {}).directory
    chosen = list(sweeping.combinations(settings))
    for combination in chosen:  # every error of a flag before the first run
        parse(name, catalogue.load(name).default, [f"--{flag}={value}" for flag, value in combination.items()])
    status, manifests = 0, {}
    for combination, member in zip(chosen, joint.join(chosen), strict=True):
        folder = parent / sweeping.label(combination)
        values = [f"--{flag}={value}" for flag, value in combination.items()]
        status = max(status, run_experiment([name, *flags, *values, "--out", str(folder)], member))
        manifests[folder.name] = read_manifest(folder)
    terminal.console().print(comparing.results(manifests))
    return status


def conduct(experiment: catalogue.Experiment, config: Config, run: Run, goal: dict[str, float]) -> int:
    """Run an experiment in its folder, print its result and the goal, and return the exit status.

    Raises:
        UsageError: the folder, or the run before it has learned anything, has a fault that the user can mend.
    """
    run.begin()
    try:
        result = execute(experiment, config, run)
        check_result(config, result)
        finish(run, result, goal, changed_settings(config, experiment.default))
    except Interrupted as interrupted:
        run.write_manifest("interrupted")
        run.console.print(str(interrupted))
    except BaseException as error:
        return report_failure(run, error)
    finally:
        run.release()
    return 0


def changed_settings(config: Config, default: Config) -> list[str]:
    """Return the names of the settings that are not the default ones, but for the seed and the place of named data."""
    values = as_dict(default)
    same = {"seed", "data_dir"} if "data" in values else {"seed"}
    return [name for name, value in as_dict(config).items() if name not in same and value != values[name]]


def finish(run: Run, result: dict[str, Any], goal: dict[str, float], changed: Sequence[str] = ()) -> None:
    """Write the result of a run and print it with its goal; ``changed`` are the settings that are not the default."""
    if run.mesh and not run.uses_mesh:
        run.console.print("note: this experiment runs on one device; --devices, --mesh and --coordinator had no effect")
    if run.precision != "float32" and not run.uses_precision:
        run.console.print("note: this experiment computes in float32; --precision had no effect")
    run.write_manifest("finished", result)
    run.console.print(result_table(run.name, result, goal, changed))
    run.console.print(f"run folder: {run.directory}")


def check_result(config: Config, result: dict[str, Any]) -> None:
    """Check that no result of training at a given rate is NaN; where rates are compared, some diverge.

    Raises:
        NonfiniteError: one is not.
    """
    for name, value in result.items() if hasattr(config, "learning_rate") else ():
        if isinstance(value, float) and math.isnan(value):
            message = f"expected a finite {name}, got {value}; lower --learning-rate"
            raise train.NonfiniteError(message, step=0, metric=name, leaf=None)


def report_failure(run: Run, error: BaseException) -> int:
    """Note in the manifest what has stopped a run; return the exit status, or raise the error where it is no user's.

    An error that a user can mend, raised before anything was learned, undoes the new folder.
    """
    mendable = isinstance(error, ValueError | TypeError) and str(error).startswith(("expected", "--"))
    if isinstance(error, UsageError) or ((mendable or isinstance(error, OSError)) and not run.has_learned):
        run.discard()
        raise UsageError(str(error)) from error
    with contextlib.suppress(OSError):  # on a full disk the first error counts
        run.write_manifest(f"stopped by {type(error).__name__}")
    out_of_memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)[:200]
    if not isinstance(error, train.NonfiniteError | OSError) and not out_of_memory:
        raise error
    sys.stderr.write(f"error: {'out of memory; ' * out_of_memory}{str(error)[:2000]}\n")
    return 1


def show_run(arguments: list[str]) -> int:
    """Print the manifest, the result and the files of a run folder."""
    if len(arguments) != 1:
        raise UsageError(f"expected the path of one run folder, got {len(arguments)} arguments")
    directory = Path(arguments[0])
    manifest = read_manifest(directory)
    console = terminal.console()
    table = Table(title=f"{manifest['experiment']}: {manifest['status']}", show_header=False)
    for name in ("command", "started", "wall_seconds", "git_commit", "devices", "versions", "seed"):
        table.add_row(name, str(manifest.get(name)))
    console.print(table)
    console.print(result_table("result", manifest["result"], {}))
    for path in sorted(directory.rglob("*")):
        if path.is_file() and len(path.relative_to(directory).parts) == 1 and not path.name.startswith("."):
            console.print(f"  {path.name}  {path.stat().st_size:,} bytes")
    return 0


def bench(arguments: list[str]) -> int:
    """Compare our time with the peers', one row per case, in a process whose allocator keeps freed memory."""
    from experiments.benchmarks import ALLOCATOR, measure, names

    if not arguments:
        terminal.console().print("\n".join([*names(), "gpu"]))
        return 0
    name, *flags = arguments
    if name == "gpu":
        return lazy_command("experiments.benchmarks.gpu")(flags)
    if name not in names():
        raise unknown("benchmark", name, [*names(), "gpu"])
    given = dict(zip(flags[::2], flags[1::2], strict=False))
    if len(flags) % 2 or given.keys() - {"--only", "--json"}:
        raise UsageError(f"expected --only TEXT and --json FILE, got {' '.join(flags)!r}")
    path = given.get("--json")
    check_writable(path)
    if ALLOCATOR.items() - os.environ.items():  # read once, when a process starts
        command = [sys.executable, "-m", "experiments", "bench", *arguments]
        return subprocess.run(command, env={**os.environ, **ALLOCATOR}, check=False).returncode
    rows = measure(name, given.get("--only", ""))
    if path is not None:
        Path(path).write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def result_table(name: str, result: dict[str, Any], goal: dict[str, float], changed: Sequence[str] = ()) -> Table:
    """Make a table of the values of a result and their goals, which hold for the default settings."""
    table = Table(title=name)
    if changed and goal.keys() & result.keys():
        table.caption = f"goals are set for the default settings, not for this {', '.join(changed)}"
    for column in ("measure", "result", "goal", ""):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for measure, value in result.items():
        shown = f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
        wanted = goal.get(measure)
        if wanted is None:
            table.add_row(measure, shown, "", "")
        else:
            less_is_better = catalogue.less_is_better(measure)
            reached = value <= wanted if less_is_better else value >= wanted
            table.add_row(
                measure, shown, f"{'<=' if less_is_better else '>='} {wanted:g}", "PASS" if reached else "MISS"
            )
    return table


def _no_more(arguments: list[str]) -> None:
    if arguments:
        raise UsageError(f"expected no arguments, got {' '.join(arguments)!r}")


def lazy_command(module: str) -> Callable[[list[str]], int]:
    """Make a command of the function ``main`` of a module, which the call imports."""
    return lambda arguments: importlib.import_module(module).main(arguments)


OWN_HELP = {"compile", "stress"}
"""Commands that print their own help, as ``run NAME --help`` does."""

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "list": list_experiments,
    "run": run_experiment,
    "show": show_run,
    "card": lazy_command("experiments.harness.commands.card"),
    "predict": lazy_command("experiments.harness.predicting"),
    "compare": comparing.main,
    "bench": bench,
    "sample": lazy_command("experiments.harness.commands.sampling"),
    "chat": lazy_command("experiments.harness.commands.chatting"),
    "claims": lazy_command("experiments.harness.claims"),
    "audit": lazy_command("experiments.audit"),
    "stress": lazy_command("experiments.stress"),
    "compile": lazy_command("experiments.harness.commands.compiling"),
}
