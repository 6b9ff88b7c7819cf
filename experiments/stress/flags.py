"""Bad flags of every experiment, and bad command lines; none may train, and none may make a folder."""

import contextlib
import dataclasses
import functools
import io
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import catalogue, command_line
from experiments.harness.configuration import Options, parse
from experiments.harness.errors import UsageError
from experiments.stress.attack import Trial, anything, nothing

REFUSED = {
    int: ("1.5", "many", "inf", "nan", "1e9", str(2**33), str(-(2**33)), str(2**70), "", "-1"),
    float: ("inf", "-inf", "nan", "many", "", "1e400", "-1"),
    bool: ("maybe",),
}
"""Values that no flag of a type takes."""
PERHAPS = {int: ("0", "1", str(2**31 - 1)), float: ("0", "1e-300", "1e300"), str: ("", "x" * 5000, "nul\0l"), bool: ()}
"""Values that some flags take."""
NEGATIVE = frozenset({"--devices", "--processes", "--process"})
"""Flags that may be below 0, or are checked when the run is made."""


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Parse so many bad values of the flags of each experiment, of at most ten times as many experiments."""
    names = catalogue.names()
    for name in [names[i] for i in sorted(generator.permutation(len(names))[: 10 * times])]:
        default = catalogue.load(name).default
        kinds = [*kinds_of(default), *kinds_of(Options())]
        found = [(flag, value, right) for flag, kind in kinds for value, right in values_of(flag, kind)]
        found += [("--no-such-flag", "1", nothing), (f"--{'n' * 9999}", "1", nothing), ("-x", "1", nothing)]
        chosen = generator.permutation(len(found))[:times]
        for flag, value, right in [found[i] for i in sorted(chosen)]:
            call = functools.partial(parse, name, default, [f"{flag}={value}"])
            yield Trial(f"run {name} {flag[:40]} {value[:40]!r}", call, right)
    yield from command_trials(folder, generator, times)


def kinds_of(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the flags of a configuration and their types."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, dashed = getattr(config, field.name), f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            yield from kinds_of(value, f"{dashed}.")
        else:
            yield f"--{dashed}", hints[field.name]


def values_of(flag: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield bad values of a flag of a type, each with what is right to return for it."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        for part in parts:
            yield from values_of(flag, part)
    elif origin is tuple:
        yield from values_of(flag, parts[0])
    elif origin is typing.Literal:
        yield from ((value, nothing) for value in ("", "no such choice", "n" * 5000))
    else:
        for value in REFUSED.get(kind, ()):
            yield value, anything if value == "-1" and flag in NEGATIVE else nothing
        yield from ((value, anything) for value in PERHAPS.get(str if kind is Path else kind, ()))


def command_trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Give bad command lines, which must leave their folder as it is."""
    file, full, pipe, other = (folder / name for name in ("file", "full", "pipe", "other"))
    file.write_text("a file")
    for path in (full, other):
        path.mkdir()
    (full / "thesis.txt").write_text("ten years of work")
    os.mkfifo(pipe)
    (folder / "loop").symlink_to(folder / "loop")
    before = sorted(folder.rglob("*"))
    lines = command_lines(folder)
    for line in [lines[i] for i in sorted(generator.permutation(len(lines))[: 3 * times])]:
        yield Trial(" ".join(line)[:120], functools.partial(command, line, folder), nothing)
        if sorted(folder.rglob("*")) != before:
            yield Trial(f"the folder after {' '.join(line)[:100]}", lambda: None, nothing)
            before = sorted(folder.rglob("*"))


def command_lines(folder: Path) -> list[list[str]]:
    """Return the bad command lines."""
    run = ["run", "mlp_digits", "--out", str(folder / "new")]
    text = ["run", "char_rnn", "--out", str(folder / "new")]
    out = ["run", "mlp_digits", "--out"]
    names = ("file", "full", "pipe", "loop", "file/below", "n" * 300, "d/" * 3000, "nul\0l")
    return [
        *([*out, str(folder / name)] for name in names),
        *([*out, str(folder / name), "--resume"] for name in ("file", "full", "pipe", "loop", "n" * 300)),
        [*out, "/dev/null"],
        [*out, "/proc/no"],
        ["run", "mlp_digits", "--resume"],
        *([*run, f"--devices={count}"] for count in (0, -1, 10**6)),
        *([*run, f"--mesh={mesh}"] for mesh in ("data", "data=0", "data=-1", "data=2,data=2", "x=", "=", "a" * 9999)),
        *([*run, f"--start-timeout={seconds}"] for seconds in (0, -1, "nan")),
        [*run, "--processes=2"],
        [*run, "--process=0"],
        *([*run, f"--coordinator={place}", "--processes=2", "--process=1"] for place in ("x", "x:", "x:99999999")),
        [*run, "--batch-size=100000"],
        [*run, "--accumulate=3"],
        [*run, "--data=digit"],
        [*run, "--data=image_folder", f"--data-dir={folder / 'file'}"],
        [*run, "--data=image_folder", f"--data-dir={folder / 'pipe'}"],
        [*text, "--characters=10"],
        [*text, "--min-count=0"],
        [*text, "--min-count=1000000000"],
        *([*text, f"--text={folder / name}"] for name in ("missing", "pipe", "loop", "other", "n" * 300)),
        [*text, "--text=/dev/zero"],
        *(
            [command, str(folder / name)]
            for command in ("show",)
            for name in ("file", "full", "pipe", "loop", "n" * 300)
        ),
        ["show"],
        ["show", "nul\0l"],
        ["n" * 900_000],
        ["run"],
        ["run", "n" * 900_000],
        ["run", "../harness/claims"],
        ["bench", "n" * 9999],
        ["bench", "training", "--json", str(folder / "missing" / "file")],
        ["claims", "--json", str(folder / "missing" / "file")],
        ["claims", "--no-such-flag"],
        ["list", "everything"],
        ["audit", "everything"],
    ]


def command(arguments: list[str], folder: Path) -> int:
    """Run a command in a folder; return its exit status, or raise the error of usage that it prints in one line."""
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(printed):
        status = command_line.main(arguments)
    message = printed.getvalue()
    if status != 0 and message.startswith("error: ") and "Traceback" not in message:
        raise UsageError(message.strip())
    return status
