"""Settings from a file, ``--config FILE``, and sweeps over several values, ``--set FLAG=VALUE,VALUE``."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.harness.configuration import AnyConfig
from experiments.harness.errors import UsageError, unknown
from experiments.harness.run_folder import read_json, slug


def take_values(arguments: list[str], flag: str) -> tuple[list[str], list[str]]:
    """Separate the values of a flag, given as ``FLAG VALUE`` or ``FLAG=VALUE``, from the other arguments.

    >>> take_values(["--seed", "1", "--set", "a=1,2", "--set=b=3"], "--set")
    (['a=1,2', 'b=3'], ['--seed', '1'])
    """
    values, rest, remaining = [], [], iter(arguments)
    for argument in remaining:
        if argument == flag:
            value = next(remaining, None)
            if value is None:
                raise UsageError(f"expected a value for {flag}, got none")
            values.append(value)
        elif argument.startswith(f"{flag}="):
            values.append(argument.removeprefix(f"{flag}="))
        else:
            rest.append(argument)
    return values, rest


def combinations(settings: list[str]) -> Iterator[dict[str, str]]:
    """Yield every combination of the values of ``name=value,value`` settings.

    >>> list(combinations(["seed=0,1", "epochs=2"]))
    [{'seed': '0', 'epochs': '2'}, {'seed': '1', 'epochs': '2'}]
    """
    named = {}
    for setting in settings:
        name, equals, values = setting.partition("=")
        if not (name and equals and values):
            raise UsageError(f"expected --set FLAG=VALUE,VALUE, got {setting[:200]!r}")
        named[name.removeprefix("--")] = values.split(",")
    for values in itertools.product(*named.values()):
        yield dict(zip(named, values, strict=True))


def label(combination: Mapping[str, str]) -> str:
    """Return the name of the folder of a combination.

    >>> label({"optimizer.learning-rate": "1e-3", "seed": "0"})
    'optimizer.learning-rate=1e-3_seed=0'
    """
    return slug("_".join(f"{name}={value}" for name, value in combination.items())).replace("/", "-")


def read_config(path: str, default: AnyConfig) -> AnyConfig:
    """Read a saved configuration, such as the ``config.json`` of a run, over the values of ``default``.

    Raises:
        UsageError: the file is no configuration of this experiment.
    """
    written = read_json(Path(path))
    settings = {name: value for name, value in written.items() if name not in ("experiment", "smoke", "precision")}
    try:
        return _replaced(default, settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path[:200]} does not fit the experiment: {str(error)[:500]}") from error


def _replaced(default: Any, settings: Mapping[str, Any]) -> Any:
    """Replace the fields of a configuration by values of JSON: lists become tuples, text paths."""
    fields = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    changes = {}
    for name, value in settings.items():
        if name not in fields:
            raise unknown("setting", name, fields)
        changes[name] = _as(fields[name], value, str(type(default).__annotations__.get(name, "")))
    return dataclasses.replace(default, **changes)


def _as(default: Any, value: Any, annotation: str) -> Any:
    if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
        return _replaced(default, value)
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and (isinstance(default, Path) or "Path" in annotation) else value
