"""Run folders: configuration, metrics, checkpoints, weights, pictures and a manifest."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from matplotlib.figure import Figure

import jaxdl
from experiments.harness import terminal
from experiments.harness.configuration import Options
from experiments.harness.errors import UsageError, preparing
from experiments.harness.joint import Member
from jaxdl.data.files.opening import read_plain_text
from jaxdl.train import parallel
from jaxdl.train.parallel import consistency, distributed

RUNS = Path("runs")
"""The default parent of run folders."""
PATHS = ("data_dir", "predict")
"""Settings that hold paths, which may change when a run is resumed."""
TIMES = ("wall_seconds", "compile_seconds", "step_seconds")
"""Durations that the manifest sums over the parts of a run: the first one and those that resumed it."""
LOCK = ".lock"
BEFORE_START = {LOCK, "config.json", "config.json.partial", "manifest.json.partial"}
"""The files of a run that was killed before its manifest was there: it has not started."""
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint")


class Run:
    """A run of an experiment and its folder.

    Attributes:
        name: the experiment's name.
        config: the configuration as plain data.
        identity: what must be equal for a run to be resumed.
        directory: the run folder.
        is_new: whether the folder is made under a default name, which no other run may have.
        smoke: whether the settings are those of a smoke run.
        resume: whether to continue from the newest valid checkpoint.
        skip_nonfinite: whether to skip steps that would give NaN or infinity.
        mesh: the devices to train on, ``None`` for one.
        process: the index of this process; all but 0 are quiet and have a folder of their own.
        shared: the run folder of process 0, which holds the checkpoints.
        console: where to print.
        uses_mesh: whether the experiment has trained on the mesh.
        precision: the type in which the models compute, for ``train.make_step``.
        uses_precision: whether the experiment has trained in it.
        member: its place among the runs of a sweep that are trained together.
        describe: writes what the weights need besides into a folder.
        upgrade: translates settings of an earlier version.
        before: the manifest before the run was resumed.
        parts: the earlier parts of the run, as in the manifest.
        times: seconds of this part spent in compilation and in steps.
        unlock: unlocks the folder, once.
        claims: the claims that the experiment has judged.
        documentation: what the experiment has documented for a model card.
    """

    def __init__(self, name: str, config: dict[str, Any], directory: Path | None = None, *, smoke: bool = False):
        self.name, self.config, self.smoke = name, config, smoke
        self.directory = directory or RUNS / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        self.is_new = directory is None
        self.resume = self.skip_nonfinite = False
        self.mesh: Mesh | None = None
        self.process, self.shared = 0, self.directory
        self.console = terminal.console()
        self.started = time.time()
        self.pictures: list[str] = []
        self.claims: list[Any] = []
        self.documentation: dict[str, Any] = {}
        self.before: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []
        self.uses_mesh = self.uses_precision = False
        self.precision = "float32"
        self.member: Member | None = None
        self.describe: Callable[[Path], Any] = lambda directory: None
        self.upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict
        self.identity = {"experiment": name, "smoke": smoke, **_without_paths(config)}
        self.times: dict[str, float] = {}
        self.unlock: Callable[[], Any] = lambda: None

    @classmethod
    def from_options(cls, name: str, config: dict[str, Any], options: Options) -> "Run":
        """Make the run of these flags.

        Raises:
            UsageError: the flags contradict each other or ask for more devices than there are.
        """
        if options.resume and options.out is None:
            raise UsageError("expected --out DIR with --resume, the folder of the run to continue")
        if options.coordinator is not None and options.out is None:
            raise UsageError("expected --out DIR with --coordinator, the same folder in every process")
        with preparing():
            processes = distributed.initialize_from_flags(
                options.coordinator, options.processes, options.process, start_timeout=options.start_timeout
            )
            mesh = parallel.mesh_from_flags(options.devices, options.mesh, processes)
        run = cls(name, config, options.out, smoke=options.smoke)
        run.resume, run.skip_nonfinite, run.mesh = options.resume, options.skip_nonfinite, mesh
        if options.precision != "float32":
            run.precision = run.identity["precision"] = options.precision
        if processes > 1 and jax.process_index() > 0:
            run.process, run.console = jax.process_index(), terminal.console(quiet=True)
            run.directory = run.directory.with_name(f"{run.directory.name}-process-{run.process}")
        return run

    @property
    def share(self) -> dict[str, Any]:
        """The share of each batch that this process reads, as arguments of ``data.Loader``."""
        return {} if self.mesh is None else parallel.process_share(self.mesh)

    def begin(self) -> None:
        """Make the run folder, or open it to resume.

        Raises:
            UsageError: the folder holds another run, or nothing to resume, or cannot be written; or the processes were
                started with different settings.
        """
        with preparing():
            flags = {"--resume": self.resume, "--skip-nonfinite": self.skip_nonfinite}
            consistency.check_consistent({**self.identity, **flags})
        try:
            self._open()
        except (OSError, ValueError) as error:
            fault = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"cannot write the run folder {str(self.directory)[:200]!r}: {fault}") from error

    def _open(self) -> None:
        """Make or open the folder and lock it; a run that was killed while it did so starts again."""
        if self.is_new:
            self.directory = self.shared = _new_folder(self.directory)
        written, there = self.directory / "config.json", _names(self.directory)
        if there is None:
            raise UsageError(f"{self.directory} is not empty: it is no folder")
        elif there - BEFORE_START and not self.resume:
            raise UsageError(f"{self.directory} is not empty: give another --out, or --resume to continue its run")
        elif there - BEFORE_START and not written.exists():
            raise UsageError(f"nothing to resume in {self.directory}: it has no config.json")
        if self.resume and not any((self.shared / "checkpoints").glob("[0-9]*")):
            again = "starts over" if there - BEFORE_START else "starts"
            self.console.print(f"note: there is no checkpoint in {self.shared}: the run {again}")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.unlock = weakref.finalize(self, os.close, lock(self.directory))
        if self.resume and written.exists():
            self._adopt(read_json(written))
            self.before = _readable_manifest(self.directory)
            self.parts = self._parts_before()
        else:
            self.resume = self.resume and self.process > 0  # the checkpoints are those of process 0
            write_json(written, {**self.identity, **self.config})
        self.write_manifest("running")

    @property
    def has_learned(self) -> bool:
        """Whether the folder has more than what is written before the first report."""
        log = self.directory / "metrics.jsonl"
        written = {"manifest.json", *(["metrics.jsonl"] if log.exists() and not log.stat().st_size else [])}
        written |= {"checkpoints"} if not _names(self.directory / "checkpoints") else set()
        return bool((_names(self.directory) or set()) - BEFORE_START - written)

    def release(self) -> None:
        """Unlock the folder for other processes."""
        self.unlock()

    def _adopt(self, written: dict[str, Any]) -> None:
        """Take over the identity of the run to resume, as its checkpoints have it, if it is this run's."""
        written = _without_paths(written)
        now, before = self.identity, _without_paths(self.upgrade(written))
        different = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
        if different:
            changes = ", ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in different)
            raise UsageError(f"{self.directory} was started with other settings: {changes}")
        self.identity = written

    def discard(self) -> None:
        """Undo `begin`: remove the new folder, or restore the manifest of the resumed one."""
        self.release()
        if self.resume and self.before:
            write_json(self.directory / "manifest.json", self.before)
        elif self.resume:
            (self.directory / "manifest.json").unlink(missing_ok=True)
        else:
            shutil.rmtree(self.directory)
            with contextlib.suppress(OSError):  # other runs are in it
                RUNS.rmdir()

    def figure(self, name: str, figure: Figure) -> None:
        """Save a figure as ``NAME.png``; a coarse one, drawn once and without a fitted layout, in a smoke run."""
        quality = {"dpi": 30} if self.smoke else {"dpi": 130, "bbox_inches": "tight"}
        if self.smoke:
            figure.set_layout_engine("none")
        figure.savefig(self.directory / f"{name}.png", **quality)
        self.pictures.append(f"{name}.png")

    def note_times(self, history: list[dict[str, Any]]) -> None:
        """Record the seconds of compilation and of the steps, from the rows that ``fit`` returns."""
        if history:
            self.times = {
                "compile_seconds": round(history[-1]["compile_seconds"], 2),
                "step_seconds": round(sum(row["seconds"] for row in history), 2),
            }
            self.console.print(" ".join(f"{name.replace('_', ' ')}: {value}" for name, value in self.times.items()))

    def claim(self, claim: Any) -> None:
        """Record a judged claim, a ``claims.Claim``."""
        self.claims.append(claim)
        self.console.print(
            f"claim {claim.claim}: {claim.statement}: {claim.value:.3g} {claim.measure}: {claim.verdict}"
        )

    def document(self, **parts: Any) -> None:
        """Record parts of the model card: ``data``, ``use``, ``groups`` (intervals by name) and ``limits``."""
        self.documentation |= parts

    def write_manifest(self, status: str, result: dict[str, Any] | None = None) -> None:
        """Write ``manifest.json``: command, versions, devices, durations, result; without one, that before a resume."""
        parts = [*self.parts, self._part()]
        manifest = {
            "experiment": self.name,
            "status": status,
            "result": result or {},
            "claims": [dataclasses.asdict(claim) for claim in self.claims],
            "seed": self.config.get("seed"),
            "smoke": self.smoke,
            "started": parts[0]["started"],
            **_total(parts),
            "parts": parts,
            "command": "python -m experiments " + " ".join(sys.argv[1:]),
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {"jaxdl": jaxdl.__version__, **{package: _version(package) for package in PACKAGES}},
            "processes": jax.process_count(),
            "devices": [str(device) for device in jax.devices()],
            "mesh": dict(self.mesh.shape) if self.mesh and self.uses_mesh else None,
            "backend": jax.default_backend(),
            "flags": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(("XLA_", "JAX_"))},
            "pictures": self.pictures,
            "documentation": self.documentation,
        }
        if result is None:
            manifest |= {name: self.before[name] for name in RECORDED if name in self.before}
        write_json(self.directory / "manifest.json", manifest)

    def _part(self) -> dict[str, Any]:
        wall_seconds = round(time.time() - self.started, 2)
        return {"started": _moment(self.started), "wall_seconds": wall_seconds, **self.times}

    def _parts_before(self) -> list[dict[str, Any]]:
        """List the earlier parts; a killed one lasted until the log was last written."""
        parts = self.before.get("parts", [])
        log = self.directory / "metrics.jsonl"
        if parts and self.before.get("status") == "running" and log.exists():
            lasted = log.stat().st_mtime - datetime.fromisoformat(parts[-1]["started"]).timestamp()
            parts = [*parts[:-1], {**parts[-1], "wall_seconds": round(max(lasted, 0.0), 2)}]
        return parts


RECORDED = ("result", "claims", "pictures", "documentation")
"""What a run has recorded once it has finished, and a resumed one keeps until it finishes again."""
MANIFEST_FIELDS = {"experiment": str, "status": str, "result": dict}
"""The fields that every manifest has."""


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest of a run folder.

    Raises:
        UsageError: there is none, or it is damaged.
    """
    path = directory / "manifest.json"
    try:
        there = path.is_file()
    except OSError:
        there = False
    if not there:
        raise UsageError(f"expected a run folder, got {str(directory)[:200]}, which has no manifest.json")
    manifest = read_json(path)
    for name, kind in MANIFEST_FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise UsageError(
                f"{path} is damaged: expected {name} of type {kind.__name__}, got {manifest.get(name)!r:.80}"
            )
    return manifest


def _readable_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest of a run to resume; a missing or damaged one counts as empty, since checkpoints need none."""
    try:
        manifest = read_manifest(directory)
        for part in manifest.get("parts", []):
            datetime.fromisoformat(part["started"])
            if not all(isinstance(part.get(name, 0.0), int | float) for name in TIMES):
                return {}
    except (UsageError, TypeError, KeyError, ValueError, AttributeError):
        return {}
    return manifest


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run folder."""
    try:
        content = json.loads(read_plain_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {str(error)[:200]}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is damaged: expected an object, got {type(content).__name__}")
    return content


def write_json(path: Path, content: Any) -> None:
    """Write a file atomically, and flush it to the disk."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w") as file:
        file.write(json.dumps(content, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def lock(directory: Path) -> int:
    """Lock a run folder for this process, and return the descriptor of the lock.

    The system unlocks it when the process ends, however it ends.

    Raises:
        UsageError: another process uses the folder.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    me = f"process {os.getpid()} on {platform.node()} "
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        if holder.startswith(me):  # this process uses it twice
            return descriptor
        os.close(descriptor)
        raise UsageError(f"{directory} is used by {holder}: wait until it has ended, or stop it") from error
    except OSError:  # a file system without locks
        return descriptor
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{me}since {_moment(time.time())}\n".encode(), 0)
    return descriptor


def _names(directory: Path) -> set[str] | None:
    """List the names in a folder, none for a folder that does not exist; return None for a file."""
    if not directory.exists():
        return set()
    return {path.name for path in directory.iterdir()} if directory.is_dir() else None


def _new_folder(path: Path) -> Path:
    """Make a folder, with the first free number appended to its name if it exists."""
    candidate = path
    for number in itertools.count(2):
        try:
            candidate.mkdir(parents=True)
            break
        except FileExistsError:
            candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def _without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in PATHS}


def _total(parts: list[dict[str, Any]]) -> dict[str, float]:
    known = [name for name in TIMES if any(name in part for part in parts)]
    return {name: round(sum(part.get(name, 0.0) for part in parts), 2) for name in known}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:  # there is no git
        return None
    return answer.stdout.strip() or None


def slug(name: str) -> str:
    """Return a name as a key of a result.

    >>> slug("LSTM, bias 1")
    'LSTM_bias_1'
    """
    return name.replace(",", "").replace(" ", "_")
