"""Attacks: inputs that a function must refuse by a clear error or accept rightly, within limits of time and memory."""

import operator
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

LIMIT = 10.0
"""Seconds after which an input counts as hanging."""
MEMORY = 4 << 30
"""Bytes of address space that an input may take."""
LONGEST_MESSAGE = 5000
"""Characters of a clear error."""
CLEAR = (ValueError, TypeError, ImportError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)
"""Types of clear errors, their subclasses excluded, beside those of our own packages."""
OURS = ("jaxdl", "experiments")
VERDICTS = ("accepted", "clear error", "raw exception", "hang", "accepted wrong")
BAD = VERDICTS[2:]


class Trial(NamedTuple):
    """An input.

    Attributes:
        name: a description of it.
        call: what is attacked.
        is_right: whether what the call returns is right.
        named: what an error must contain.
        limit: seconds after which it counts as hanging.
    """

    name: str
    call: Callable[[], Any]
    is_right: Callable[[Any], bool]
    named: str = ""
    limit: float = LIMIT


class Attack(NamedTuple):
    """A file, which is damaged in many ways, and its reader.

    Attributes:
        name: what it is.
        original: the undamaged content.
        read: reads the file and returns its content, which ``==`` can compare.
        checksummed: whether a checksum covers the content, so that another content must not be accepted.
        filename: the name of the file.
    """

    name: str
    original: bytes
    read: Callable[[Path], Any]
    checksummed: bool = False
    filename: str = "attacked"


@dataclass
class Tally:
    """The verdicts on the inputs of one kind.

    Attributes:
        counts: the number of inputs by verdict.
        problems: descriptions of those with a bad verdict.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    problems: list[str] = field(default_factory=list)

    def add(self, verdict: str, problem: str = "") -> None:
        """Count an input."""
        self.counts[verdict] += 1
        if verdict in BAD:
            self.problems.append(f"{verdict}: {problem}")

    @property
    def tried(self) -> int:
        """The number of inputs."""
        return sum(self.counts.values())

    @property
    def bad(self) -> int:
        """The number of inputs with a bad verdict."""
        return sum(self.counts[verdict] for verdict in BAD)


class Overdue(BaseException):
    """A call took longer than the limit."""


def anything(result: Any) -> bool:
    """Accept any result, of an input that may be right."""
    return True


def nothing(result: Any) -> bool:
    """Accept no result, of an input that must be refused."""
    return False


def judge(trial: Trial) -> tuple[str, str]:
    """Make a trial; return the verdict and a description."""
    started, limit = time.monotonic(), trial.limit
    try:
        with bounded(limit):
            result = trial.call()
    except Overdue:
        return "hang", f"{trial.name}: more than {limit:g} s"
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        description = f"{trial.name}: {type(error).__name__}: {str(error)[:300]}"
        return ("clear error" if is_clear(error, trial.named) else "raw exception"), description
    if time.monotonic() - started > limit:  # compiled code does not notice the alarm
        return "hang", f"{trial.name}: {time.monotonic() - started:.0f} s"
    return ("accepted" if trial.is_right(result) else "accepted wrong"), trial.name


def is_clear(error: BaseException, named: str = "") -> bool:
    """Return whether an error is of a documented type, names the cause and is short.

    >>> is_clear(ValueError("expected a, got b"), "b"), is_clear(KeyError("b"), "b"), is_clear(ValueError(""))
    (True, False, False)
    """
    known = type(error) in CLEAR or type(error).__module__.partition(".")[0] in OURS
    known = known or (isinstance(error, OSError) and error.filename is not None)  # of the system
    return known and named in str(error) and 0 < len(str(error)) <= LONGEST_MESSAGE


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Limit the time and the memory of the statements within.

    Raises:
        Overdue: they take too long.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Overdue

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    before = signal.signal(signal.SIGALRM, stop)
    try:
        if pages is not None:
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def harm(content: bytes, generator: np.random.Generator) -> bytes:
    """Cut the end, flip a bit, overwrite, insert or replace bytes; half of the places are near the start."""
    harmed = bytearray(content)
    near = generator.random() < 0.5
    place = int(generator.integers(max(1, min(len(content), 200) if near else len(content))))
    match generator.integers(6):
        case 0:
            del harmed[place:]
        case 1:
            harmed[place : place + 1] = bytes([harmed[place] ^ (1 << int(generator.integers(8)))]) if harmed else b"?"
        case 2:
            harmed[place : place + 8] = generator.bytes(8)
        case 3:
            harmed[place:place] = generator.bytes(int(generator.integers(1, 20)))
        case 4:
            harmed[place : place + int(generator.integers(1, 30))] = b"\xff" * int(generator.integers(30))
        case _:
            harmed[place : place + int(generator.integers(1, 30))] = bytes(int(generator.integers(30)))
    return bytes(harmed)


def damaged(attacks: Iterable[Attack], times: int, folder: Path, generator: np.random.Generator) -> Iterator[Trial]:
    """Damage every file so many times, and read it; first the undamaged one, which must be accepted."""
    for attack in attacks:
        path = folder / attack.filename
        path.write_bytes(attack.original)
        expected = attack.read(path)
        for number in range(times):
            content = harm(attack.original, generator)
            path.write_bytes(content)
            right = partial(operator.eq, expected) if attack.checksummed else anything
            named = attack.filename.partition(".")[0]
            yield Trial(f"{attack.name}, damage {number}", partial(attack.read, path), right, named)
        path.unlink()


def forged(files: dict[str, bytes], read: Callable[[Path], Any], folder: Path, filename: str) -> Iterator[Trial]:
    """Read files, each of which must be refused."""
    for name, content in files.items():
        path = folder / filename
        path.write_bytes(content)
        yield Trial(name, partial(read, path), nothing, filename)
        path.unlink()
