"""Files with a flipped bit or a truncated end, each of which must be rejected by name."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from experiments.stress import victim
from jaxdl import train

Damage = Callable[[bytes, np.random.Generator], bytes]


def flip(content: bytes, generator: np.random.Generator) -> bytes:
    """Flip one bit."""
    place, bit = generator.integers(len(content)), generator.integers(8)
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def cut(content: bytes, generator: np.random.Generator) -> bytes:
    """Truncate the end."""
    return content[: generator.integers(len(content))]


def damage_one_file(folder: Path, generator: np.random.Generator) -> None:
    """Flip one bit in one file of a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    path = files[generator.integers(len(files))]
    path.write_bytes(flip(path.read_bytes(), generator))


def verdicts(reference: Path, damage: Damage, times: int, generator: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Damage files of the newest checkpoint and of the weights of a finished run, one at a time, and load them.

    Yields:
        The verdict and its description.
    """
    folder = shutil.copytree(reference, reference.with_name("read"))
    checkpoints = victim.checkpoints_of(folder)
    newest = checkpoints.folder(checkpoints.latest())
    like = jax.eval_shape(lambda: victim.make_run()[1])
    weights = folder / victim.WEIGHTS
    files = [path for path in sorted(newest.rglob("*")) if path.is_file()]
    files += [weights] * (len(files) // 3)  # a quarter of the damage
    for _ in range(times):
        path = files[generator.integers(len(files))]
        original = path.read_bytes()
        damaged = damage(original, generator)
        path.write_bytes(damaged)
        if path == weights:
            message = _message(lambda: train.weights.load(weights, like.variables))
        else:
            message = _message(lambda: checkpoints.restore(like))
        path.write_bytes(original)
        yield _verdict(message, path, _leaf(path, original, damaged))
    # The original files load.
    checkpoints.restore(like)
    train.weights.load(weights, like.variables)
    shutil.rmtree(folder)


def _message(load: Callable[[], object]) -> str | None:
    """Return the error of a load, ``None`` if there is none."""
    try:
        load()
    except ValueError as error:
        return str(error)
    return None


def _leaf(path: Path, original: bytes, damaged: bytes) -> str | None:
    """Return the leaf that contains the damage, ``None`` if the file holds no leaf there."""
    if path.name == victim.WEIGHTS:
        header = 8 + int.from_bytes(original[:8], "little")
        return "leaf " if len(damaged) == len(original) and damaged[:header] == original[:header] else None
    if path.parent.parent.name == "state" and path.parent.name != "array_metadatas":
        return path.parent.name.replace(".", "/")
    return None


def _verdict(message: str | None, path: Path, leaf: str | None) -> tuple[str, str]:
    """Return the verdict on a damaged file and its description; an error has one line and names file and leaf."""
    if message is None:
        return "accepted wrong", f"{path} was accepted"
    if "\n" in message or path.name not in message or (leaf is not None and leaf not in message):
        return "raw exception", f"{path} was rejected, but not by its name in one line: {message}"
    return "clear error", ""
