"""Configurations are frozen dataclasses; tyro makes flags of their fields."""

import contextlib
import dataclasses
import io
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.harness.errors import UsageError, unknown


@dataclass(frozen=True)
class Options:
    """What every run takes, whatever its experiment."""

    out: Path | None = None
    """Folder for the run; by default a new one under runs/."""
    smoke: bool = False
    """Two tiny steps, to see that everything works."""
    resume: bool = False
    """Go on from the newest good checkpoint in --out."""
    skip_nonfinite: bool = False
    """Leave out the steps that would give NaN or infinity, and count them, in place of stopping."""
    devices: int | None = None
    """Devices to train on together, each with its share of every batch; a CPU simulates them."""
    mesh: str | None = None
    """The same with named axes, such as data=4,model=2."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where several processes train as one; auto on a TPU pod, under Slurm or Open MPI."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """The number of this one, from 0."""


@dataclass(frozen=True)
class Config:
    """The base of every experiment's configuration."""

    seed: int = 0
    """Seed of every random number."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", ">= 0", self.seed)


def require(condition: bool, name: str, expected: str, value: object) -> None:
    """Refuse an impossible value of the flag ``name``."""
    if not condition:
        raise ValueError(f"--{name.replace('_', '-')}: expected {expected}, got {value!r}")


def at_least(config: Config, **bounds: int) -> None:
    """Refuse a configuration of which a field is below its bound: ``at_least(self, seeds=2, steps=1)``."""
    for name, bound in bounds.items():
        require(getattr(config, name) >= bound, name, f">= {bound}", getattr(config, name))


def positive(config: Config, *names: str) -> None:
    """Refuse a configuration of which a field is not above 0."""
    for name in names:
        require(getattr(config, name) > 0, name, "> 0", getattr(config, name))


def parse(name: str, config_type: type[Config], arguments: list[str]) -> tuple[Config, Options]:
    """Read the flags of an experiment.

    Raises:
        UsageError: an unknown flag, with the nearest; a value that does not fit, or is impossible.
    """
    flattened = Annotated[config_type, tyro.conf.arg(name="")]
    combined = dataclasses.make_dataclass(
        "Arguments",
        [
            ("config", flattened, dataclasses.field(default_factory=config_type)),
            ("options", Annotated[Options, tyro.conf.arg(name="")], Options()),
        ],
        frozen=True,
    )
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed, rest = tyro.cli(
                combined,
                prog=f"python -m experiments run {name}",
                description=config_type.__doc__,
                args=arguments,
                return_unknown_args=True,
            )
    except SystemExit as ended:
        if ended.code:
            raise UsageError(_first_paragraph(said.getvalue())) from None
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None
    if rest:
        raise unknown("flag", rest[0].split("=")[0], flags(combined))
    return parsed.config, parsed.options


def flags(config_type: type, prefix: str = "") -> list[str]:
    """List the flags of a configuration, those of nested ones with a dot."""
    found = []
    for field in dataclasses.fields(config_type):
        kind = getattr(field.type, "__origin__", field.type)
        dashed = f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(kind):
            found += flags(kind, prefix if hasattr(field.type, "__metadata__") else f"{dashed}.")
        else:
            found.append(f"--{dashed}")
    return found


def as_dict(config: Any) -> dict[str, Any]:
    """Turn a configuration into plain data, as JSON reads it back."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def _first_paragraph(box: str) -> str:
    """Take the message out of the box that tyro draws, and name the nearest of the choices it lists."""
    _title, *lines = [line.strip("│ ") for line in box.splitlines()]
    paragraphs = itertools.groupby(lines, key=lambda line: not set(line) <= set("─-╰╯"))
    message = " ".join(next((lines for is_text, lines in paragraphs if is_text), ["the flags cannot be read"]))
    choice = re.search(r"invalid choice '(.*?)' for argument '--(.*?)'.*\((.*)\)", message)
    if choice:
        return str(unknown(f"value for --{choice[2]}", choice[1], re.findall(r"'(.*?)'", choice[3])))
    return message
