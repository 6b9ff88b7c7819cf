"""Files with one bit changed or their end cut off, each of which must be refused by name."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from experiments.stress import victim
from jaxdl import train

Damage = Callable[[bytes, np.random.Generator], bytes]


@dataclass
class Count:
    """What became of files that were damaged.

    Attributes:
        tried: how many.
        refused: how many were refused by a line that names the file, and the leaf where the damage was in one.
        problems: what was said, or that nothing was said, of the others.
    """

    tried: int
    refused: int
    problems: list[str]


def flip(content: bytes, generator: np.random.Generator) -> bytes:
    """Change one bit."""
    place, bit = generator.integers(len(content)), generator.integers(8)
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def cut(content: bytes, generator: np.random.Generator) -> bytes:
    """Cut the end off."""
    return content[: generator.integers(len(content))]


def damage_one_file(folder: Path, generator: np.random.Generator) -> None:
    """Change one bit in one file of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    path = files[generator.integers(len(files))]
    path.write_bytes(flip(path.read_bytes(), generator))


def refused(reference: Path, damage: Damage, times: int, generator: np.random.Generator) -> Count:
    """Damage files of a finished run's newest checkpoint and its weights, one at a time, and try to load them."""
    folder = shutil.copytree(reference, reference.with_name("read"))
    checkpoints = victim.checkpoints_of(folder)
    newest = checkpoints.folder(checkpoints.latest())
    like = jax.eval_shape(lambda: victim.make_run()[1])
    weights = folder / victim.WEIGHTS
    files = [path for path in sorted(newest.rglob("*")) if path.is_file()]
    files += [weights] * (len(files) // 3)  # a quarter of the damage
    count = Count(0, 0, [])
    for _ in range(times):
        path = files[generator.integers(len(files))]
        original = path.read_bytes()
        damaged = damage(original, generator)
        path.write_bytes(damaged)
        if path == weights:
            said = _message(lambda: train.weights.load(weights, like.variables))
        else:
            said = _message(lambda: checkpoints.restore(like))
        path.write_bytes(original)
        count.tried += 1
        problem = _problem(said, path, _leaf(path, original, damaged))
        count.refused += not problem
        count.problems += [problem] * bool(problem)
    # Unharmed, it is read.
    checkpoints.restore(like)
    train.weights.load(weights, like.variables)
    shutil.rmtree(folder)
    return count


def _message(load: Callable[[], object]) -> str | None:
    """Return what a load complains about, ``None`` where it does not."""
    try:
        load()
    except ValueError as error:
        return str(error)
    return None


def _leaf(path: Path, original: bytes, damaged: bytes) -> str | None:
    """Tell in which leaf the damage is, ``None`` where it is in none: then the file's name must do."""
    if path.name == victim.WEIGHTS:
        header = 8 + int.from_bytes(original[:8], "little")
        return "leaf " if len(damaged) == len(original) and damaged[:header] == original[:header] else None
    if path.parent.parent.name == "state" and path.parent.name != "array_metadatas":
        return path.parent.name.replace(".", "/")
    return None


def _problem(said: str | None, path: Path, leaf: str | None) -> str:
    if said is None:
        return f"{path} was accepted"
    if "\n" in said or path.name not in said or (leaf is not None and leaf not in said):
        return f"{path} was refused, but not by its name in one line: {said}"
    return ""
