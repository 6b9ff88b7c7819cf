"""The folder that a run leaves: configuration, metrics, checkpoint, weights, pictures and a manifest."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import jax
from matplotlib.figure import Figure
from rich.console import Console

from experiments.harness.errors import UsageError

PACKAGES = ("jaxdl", "jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint")


class Run:
    """One run of an experiment.

    Attributes:
        name: the experiment's.
        directory: the run folder.
        smoke: whether two tiny steps are enough.
        resume: whether to go on from the newest checkpoint.
        console: where to print.
        claims: what the experiment has said of the claims that it tests.
    """

    def __init__(self, name: str, config: dict[str, Any], directory: Path, *, smoke: bool, resume: bool):
        self.name, self.config, self.directory = name, config, directory
        self.smoke, self.resume = smoke, resume
        self.console = Console()
        self.started = time.time()
        self.pictures: list[str] = []
        self.claims: list[Any] = []

    @classmethod
    def open(cls, name: str, config: dict[str, Any], out: Path | None, *, smoke: bool, resume: bool) -> "Run":
        """Make the run folder, or enter it again to resume.

        Raises:
            UsageError: the folder holds another run, or nothing that could be resumed.
        """
        if resume and out is None:
            raise UsageError("--resume needs --out DIR, the folder of the run to go on with")
        directory = out or _new_folder(name)
        written = directory / "config.json"
        if resume:
            if not written.exists():
                raise UsageError(f"nothing to resume in {directory}: it has no config.json")
            before = json.loads(written.read_text())
            if before != json.loads(json.dumps({"experiment": name, **config})):
                raise UsageError(f"{directory} was begun with other settings: {_differences(before, name, config)}")
        elif directory.exists() and any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty: give another --out, or --resume to go on with the run in it")
        directory.mkdir(parents=True, exist_ok=True)
        if not resume:
            written.write_text(json.dumps({"experiment": name, **config}, indent=2) + "\n")
        run = cls(name, config, directory, smoke=smoke, resume=resume)
        run.write_manifest("running", {})
        return run

    def discard(self) -> None:
        """Remove the folder of a run that was refused before it began."""
        if not self.resume:
            (self.directory / "config.json").unlink()
            (self.directory / "manifest.json").unlink()
            with contextlib.suppress(OSError):  # it holds something else
                self.directory.rmdir()

    def figure(self, name: str, figure: Figure) -> None:
        """Save a figure as ``NAME.png``."""
        figure.savefig(self.directory / f"{name}.png", dpi=130, bbox_inches="tight")
        self.pictures.append(f"{name}.png")

    def claim(self, claim: Any) -> None:
        """Note a claim with its verdict, a ``claims.Claim``."""
        self.claims.append(claim)
        self.console.print(
            f"claim {claim.claim}: {claim.statement}: {claim.value:.3g} {claim.measure}: {claim.verdict}"
        )

    def write_manifest(self, status: str, result: dict[str, Any]) -> None:
        """Write ``manifest.json``: what ran, on what, for how long, and what came out."""
        manifest = {
            "experiment": self.name,
            "status": status,
            "result": result,
            "claims": [dataclasses.asdict(claim) for claim in self.claims],
            "seed": self.config.get("seed"),
            "smoke": self.smoke,
            "started": datetime.fromtimestamp(self.started).astimezone().isoformat(timespec="seconds"),
            "wall_seconds": round(time.time() - self.started, 2),
            "command": "python -m experiments " + " ".join(sys.argv[1:]),
            "git_commit": _git_commit(),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {package: _version(package) for package in PACKAGES},
            "devices": [str(device) for device in jax.devices()],
            "backend": jax.default_backend(),
            "flags": {name: os.environ[name] for name in sorted(os.environ) if name.startswith(("XLA_", "JAX_"))},
            "pictures": self.pictures,
        }
        (self.directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read a run's manifest."""
    path = directory / "manifest.json"
    if not path.exists():
        raise UsageError(f"{directory} is no run folder: it has no manifest.json")
    return json.loads(path.read_text())


def _new_folder(name: str) -> Path:
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = [Path("runs") / stem, *(Path("runs") / f"{stem}-{i}" for i in range(2, 100))]
    return next(path for path in candidates if not path.exists())


def _differences(before: dict[str, Any], name: str, config: dict[str, Any]) -> str:
    now = json.loads(json.dumps({"experiment": name, **config}))
    different = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    return ", ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in different)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    answer = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None
