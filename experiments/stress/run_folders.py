"""Edited run folders, which are shown and resumed."""

import contextlib
import io
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from experiments.harness import catalogue, command_line, configuration, figures
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import Run
from experiments.harness.training import train_task
from experiments.stress import victim
from experiments.stress.attack import Trial, anything, harm
from jaxdl import data, optim, tasks, train

Edit = Callable[[Path], Any]
NAME = "stressed"
LIMIT = 60.0
"""Seconds of a resumed run, which compiles its programs."""
FILES = ("config.json", "manifest.json", "metrics.jsonl")
CONTENTS = {
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "no fields": b"{}",
    "deep": b"[" * 200_000,
    "deep objects": b'{"step":' * 100_000,
    "no UTF-8": b"\xff\xfe\xff",
    "zeros": bytes(5000),
    "a text": b'"text"',
    "infinity": b'{"step": Infinity, "seed": NaN}',
    "a huge number": b'{"step": 1' + b"0" * 5000 + b"}",
}
FORGED = frozenset({"metrics.jsonl", "metrics.jsonl:", "rows"})
"""Words of edits that may change which state is the best."""
VALUES: tuple[Any, ...] = (None, -1, 1e300, "text", [], {}, [{}], True)
"""What takes the place of a value of a field."""


@dataclass(frozen=True)
class Config(configuration.Config):
    """The settings of the run."""

    epochs: float = 2.0
    """Passes over the training examples."""
    patience: int = 2
    """Evaluations without improvement."""


def trials(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Edit the folder of a finished run so many times, then show and resume it."""
    with compiled_once(folder / "compiled"):
        yield from edited(folder, generator, times)


def edited(folder: Path, generator: np.random.Generator, times: int) -> Iterator[Trial]:
    """Make the folder of a finished run and edit it."""
    template = folder / "template"
    resume(template)
    final = (template / "weights.safetensors").read_bytes()
    edits = all_edits(template, generator, times)
    names = list(edits)
    for name in [names[i] for i in sorted(generator.permutation(len(names))[:times])]:
        final_or_refused = anything if FORGED.intersection(name.split()) else partial(is_final, final=final)
        for what, act, right in (("show", show, anything), ("resume", resume, final_or_refused)):
            copy = folder / "edited"
            remove(copy)
            shutil.copytree(template, copy)
            edits[name](copy)
            yield Trial(f"{what} after {name}", partial(act, copy), right, limit=LIMIT)
    remove(folder / "edited")


@contextlib.contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Keep compiled programs in a folder, unless they are kept already."""
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]  # made at run time
        yield
        return
    settings = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}
    settings = {name: (getattr(jax.config, name), value) for name, value in settings.items()}
    settings["jax_compilation_cache_dir"] = None, str(folder)
    try:
        for name, (_, value) in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, (before, _) in settings.items():
            jax.config.update(name, before)
        compilation_cache.reset_cache()


def is_final(folder: Path, final: bytes) -> bool:
    """Return whether a resumed run has the weights of the undisturbed one."""
    return (folder / "weights.safetensors").read_bytes() == final


def resume(folder: Path) -> Path:
    """Resume the run in a folder as the command line does; return the folder."""
    config = Config()
    run = Run(NAME, configuration.as_dict(config), folder, smoke=True)  # with coarse figures
    run.resume = folder.exists()
    experiment = catalogue.Experiment(config, learn, {}, ())
    errors = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        run.console.quiet = True
        status = command_line.conduct(experiment, config, run, {})
    if status:
        raise UsageError(errors.getvalue().partition("error: ")[2])
    return folder


def run_in(folder: Path, cache: Path) -> None:
    """Start or resume the run in ``folder/run``, as the main function of a process."""
    victim.enter_process(folder, cache)
    resume(folder / "run")


def same_end(folder: Path, other: Path) -> bool:
    """Return whether two finished runs, started by `run_in`, have equal weights and metrics."""
    names = ("weights.safetensors", "metrics.jsonl")
    rows = [[_untimed(path / "run" / names[1]), (path / "run" / names[0]).read_bytes()] for path in (folder, other)]
    return rows[0] == rows[1]


def _untimed(path: Path) -> list[dict[str, Any]]:
    rows = train.MetricsFile.read(path)
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


def learn(config: Config, run: Run) -> dict[str, float]:
    """Train the network of the stress test with all that a run folder has."""
    arrays = victim.make_arrays()
    loader = data.Loader(arrays, 24, seed=1)
    task, optimizer = tasks.classification(victim.Network()), optim.momentum(0.1, 0.9)
    options = {"epochs": config.epochs, "patience": config.patience}
    _, result = train_task(run, task, loader, optimizer, arrays, **options)
    run.figure("curves", figures.curves(train.MetricsFile.read(run.directory / "metrics.jsonl")))
    return result


def show(folder: Path) -> None:
    """Show the run in a folder."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        status = command_line.main(["show", str(folder)])
    if status:
        raise UsageError(errors.getvalue())


def all_edits(template: Path, generator: np.random.Generator, times: int) -> dict[str, Edit]:
    """Return edits of a run folder by their descriptions."""
    edits: dict[str, Edit] = {"no edit": lambda folder: None}
    places = [*FILES, ".lock", "weights.safetensors", "checkpoints", "best"]
    for name in places:
        edits |= {f"{name} {how}": partial(replace, name=name, how=how) for how in REPLACEMENTS}
    for name in FILES:
        edits |= {f"{name}: {what}": partial(write, name=name, content=content) for what, content in CONTENTS.items()}
        for number in range(times // 4):
            content = harm((template / name).read_bytes(), generator)
            edits[f"{name}: damage {number}"] = partial(write, name=name, content=content)
    for name in ("config.json", "manifest.json"):
        fields = json.loads((template / name).read_text())
        for field in fields:
            edits[f"{name} without {field}"] = partial(change, name=name, field=field)
            for value in VALUES:
                edits[f"{name}: {field} = {value!r}"] = partial(change, name=name, field=field, value=value)
    for field in json.loads((template / "metrics.jsonl").read_text().splitlines()[0]):
        edits[f"rows without {field}"] = partial(change_rows, field=field)
        for value in VALUES:
            edits[f"rows with {field} = {value!r}"] = partial(change_rows, field=field, value=value)
    return edits | checkpoint_edits(template)


def checkpoint_edits(template: Path) -> dict[str, Edit]:
    """Return edits of the folder of checkpoints."""
    edits: dict[str, Edit] = {}
    for where in ("checkpoints", "best"):
        newest = max((template / where).iterdir()).name
        edits |= {
            f"{where}/{newest} {how}": partial(replace, name=f"{where}/{newest}", how=how) for how in REPLACEMENTS
        }
        for name in ("manifest.json", "manifest.sha256", "state"):
            place = f"{where}/{newest}/{name}"
            edits |= {f"{place} {how}": partial(replace, name=place, how=how) for how in REPLACEMENTS}
        for name in ("99999999", "00000000", "abc", "00000001.partial", "12", "\N{SUPERSCRIPT TWO}"):
            edits[f"a folder {where}/{name}"] = partial(replace, name=f"{where}/{name}", how="as a folder")
            edits[f"a copy {where}/{name}"] = partial(copy_folder, source=f"{where}/{newest}", target=f"{where}/{name}")
    return edits


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(folder: Path, name: str, content: bytes) -> None:
    """Write other content."""
    (folder / name).write_bytes(content)


def copy_folder(folder: Path, source: str, target: str) -> None:
    """Copy a folder to another name."""
    remove(folder / target)
    shutil.copytree(folder / source, folder / target)


def change(folder: Path, name: str, field: str, **value: Any) -> None:
    """Change the value of a field, or remove the field."""
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(_changed(content, field, value)))


def change_rows(folder: Path, field: str, **value: Any) -> None:
    """Change a field in all rows of the metrics."""
    rows = [_changed(json.loads(line), field, value) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _changed(content: dict[str, Any], field: str, value: dict[str, Any]) -> dict[str, Any]:
    rest = {name: kept for name, kept in content.items() if name != field}
    return rest | {field: value["value"]} if value else rest


def replace(folder: Path, name: str, how: str) -> None:
    """Put something else in the place of a file or folder."""
    path = folder / name
    remove(path)
    REPLACEMENTS[how](path)


REPLACEMENTS: dict[str, Callable[[Path], Any]] = {
    "removed": lambda path: None,
    "as a folder": lambda path: path.mkdir(),
    "as a file": lambda path: path.write_bytes(b"?"),
    "as a pipe": os.mkfifo,
    "as a device": lambda path: path.symlink_to("/dev/zero"),
    "as a circular link": lambda path: path.symlink_to(path),
    "as a link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
}
