"""Configurations: frozen dataclasses whose fields tyro turns into flags."""

import contextlib
import dataclasses
import io
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

import numpy as np
import tyro

from experiments.harness.errors import UsageError, unknown
from jaxdl.checks import shorten

AnyConfig = TypeVar("AnyConfig", bound="Config")


@dataclass(frozen=True)
class Options:
    """The flags that every experiment takes."""

    out: Path | None = None
    """Folder for the run; by default a new one under runs/."""
    smoke: bool = False
    """Run with tiny settings, as a test."""
    resume: bool = False
    """Continue from the newest valid checkpoint in --out."""
    skip_nonfinite: bool = False
    """Skip and count the steps that would give NaN or infinity, instead of stopping."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type in which the models compute; parameters and reductions stay float32, float16 scales the loss."""
    devices: int | None = None
    """Number of devices for data parallelism; a CPU simulates them."""
    mesh: str | None = None
    """Devices as a mesh with named axes, such as data=4,model=2."""
    coordinator: str | None = None
    """HOST:PORT of process 0 for training with several processes; auto on a TPU pod, under Slurm or Open MPI."""
    processes: int | None = None
    """Number of processes."""
    process: int | None = None
    """Index of this process, from 0."""
    start_timeout: int = 300
    """Seconds in which all processes must start."""

    def __post_init__(self) -> None:
        require(self.start_timeout >= 1, "start-timeout", ">= 1", self.start_timeout)


@dataclass(frozen=True)
class Config:
    """The base of every experiment's configuration.

    Integers are at least 1, other numbers at least 0, and learning rates above 0, those in tuples too. ``SMOKE`` holds
    the values that replace those of the fields in a smoke run. ``LEAST`` holds other lower bounds of fields and
    ``POSITIVE`` the names of fields above 0, both in addition to those of the base classes. ``CHOICES`` maps fields
    with several values to all that are possible, and those that must be among them. ``FORMER`` maps former names of
    fields to the present ones, so that run folders of earlier versions can be resumed.
    """

    SMOKE: ClassVar[dict[str, Any]] = {}
    LEAST: ClassVar[Mapping[str, float]] = {"seed": 0}
    POSITIVE: ClassVar[tuple[str, ...]] = ("learning_rate", "rates")
    CHOICES: ClassVar[dict[str, tuple[Iterable[str], Iterable[str]]]] = {}
    FORMER: ClassVar[dict[str, str]] = {}

    seed: int = 0
    """Seed of all random numbers."""

    def __post_init__(self) -> None:
        bounds = {field.name: 1 if _is_integer(field.type) else 0 for field in dataclasses.fields(self)}
        for base in reversed(type(self).__mro__):
            bounds |= vars(base).get("LEAST", {})
            positive(self, *vars(base).get("POSITIVE", ()))
        at_least(self, **bounds)
        for name, (possible, needed) in self.CHOICES.items():
            value, expected = getattr(self, name), f"{', '.join(needed)} and others of {', '.join(possible)}"
            require({*needed} <= {*value} <= {*possible}, name, expected, value)

    def smoke(self) -> Self:
        """Return the configuration of a smoke run."""
        return dataclasses.replace(self, **self.SMOKE)


def require(condition: bool, name: str, expected: str, value: object) -> None:
    """Check a value of the flag ``name``.

    Raises:
        ValueError: the condition does not hold.
    """
    if not condition:
        raise ValueError(f"--{name.replace('_', '-')}: expected {expected}, got {shorten(repr(value))}")


def at_least(config: Config, **bounds: float) -> None:
    """Check lower bounds of the numbers in fields: ``at_least(self, seeds=2, steps=1)``."""
    for name, bound in bounds.items():
        value = getattr(config, name)
        require(all(number >= bound for number in _numbers(value)), name, f">= {bound}", value)


def positive(config: Config, *names: str) -> None:
    """Check that the numbers in fields are above 0; a field may be missing."""
    for name in names:
        value = getattr(config, name, None)
        require(all(number > 0 for number in _numbers(value)), name, "> 0", value)


def _numbers(value: object) -> list[int | float]:
    """List a number, or those of a tuple; nothing else is one."""
    values = value if isinstance(value, tuple) else (value,)
    return [number for number in values if isinstance(number, int | float) and not isinstance(number, bool)]


def _is_integer(kind: Any) -> bool:
    """Return whether a field of this type holds integers, perhaps in a tuple or None."""
    return kind is int or any(_is_integer(part) for part in get_args(kind))


LARGEST = {"seed": 2**32 - 1, "epochs": 10**6}
"""The largest values of flags; that of all other integers is 2^31 - 1."""


def check_numbers(config: Any, prefix: str = "") -> None:
    """Check that the numbers of a configuration, also of its parts, are finite, and integers that arrays can hold.

    Raises:
        ValueError: one is not.
    """
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            check_numbers(value, f"{name}.")
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float):
                require(math.isfinite(number), name, "a finite number", number)
            if isinstance(number, int | float) and (isinstance(number, int) or field.name in LARGEST):
                largest = LARGEST.get(field.name, 2**31 - 1)
                require(abs(number) <= largest, name, f"at most {largest:,}", number)


def parse(name: str, default: AnyConfig, arguments: list[str]) -> tuple[AnyConfig, Options]:
    """Parse the flags of an experiment over the values of ``default``.

    Raises:
        UsageError: a flag is unknown, or its value is invalid.
    """
    flattened = Annotated[type(default), tyro.conf.arg(name="")]
    combined = dataclasses.make_dataclass(
        "Arguments",
        [
            ("config", flattened, dataclasses.field(default_factory=lambda: default)),
            ("options", Annotated[Options, tyro.conf.arg(name="")], Options()),
        ],
        frozen=True,
    )
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            parsed, rest = tyro.cli(
                combined,
                prog=f"python -m experiments run {name}",
                description=type(default).__doc__,
                args=arguments,
                return_unknown_args=True,
            )
    except SystemExit as ended:
        if ended.code:
            raise UsageError(_first_paragraph(stderr.getvalue())) from None
        raise
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(shorten(error, 2000)) from None
    if rest:
        raise unknown("flag", rest[0].split("=")[0], flags(combined))
    try:
        check_numbers(parsed.config)
        check_numbers(parsed.options)
    except ValueError as error:
        raise UsageError(shorten(error, 2000)) from None
    return parsed.config, parsed.options


def flags(config_type: type, prefix: str = "") -> list[str]:
    """List the flags of a configuration; those of nested ones contain a dot."""
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
    """Convert a configuration to plain data, as JSON reads it back."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=_plain))


def from_dict(default: AnyConfig, settings: Mapping[str, Any]) -> AnyConfig:
    """Return a configuration with the settings that `as_dict` made; other names than those of its fields are ignored.

    >>> from_dict(Config(), {"seed": 3, "experiment": "xor"})
    Config(seed=3)
    """
    changes = {}
    for field in dataclasses.fields(default):
        value, now = settings.get(field.name), getattr(default, field.name)
        if dataclasses.is_dataclass(now) and isinstance(value, Mapping):
            changes[field.name] = from_dict(now, value)
        elif field.name in settings:
            is_path = isinstance(value, str) and Path in (field.type, *get_args(field.type))
            changes[field.name] = Path(value) if is_path else _tuples(value)
    return dataclasses.replace(default, **changes)


def _tuples(value: Any) -> Any:
    """Convert the lists of JSON, which are the tuples of configurations."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _plain(value: object) -> object:
    """Convert NumPy's numbers and arrays to plain ones, and paths and the like to text."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _first_paragraph(box: str) -> str:
    """Extract the message from the box that tyro prints, with the nearest of the choices that it lists."""
    _title, *lines = [line.strip("│ ") for line in box.splitlines()]
    paragraphs = itertools.groupby(lines, key=lambda line: not set(line) <= set("─-╰╯"))
    message = " ".join(next((lines for is_text, lines in paragraphs if is_text), ["invalid flags"]))
    choice = re.search(r"invalid choice '(.*?)' for argument '--(.*?)'.*\((.*)\)", message)
    if choice:
        return str(unknown(f"value for --{choice[2]}", choice[1], re.findall(r"'(.*?)'", choice[3])))
    return message
