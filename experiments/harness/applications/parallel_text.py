"""Sentences of English with their translations: numbers in words, a table, or a gettext catalogue."""

from pathlib import Path

from experiments.harness.applications.spellings import number_names, read_catalogue, words_and_marks
from experiments.harness.errors import UsageError, preparing
from jaxdl.data import read_parallel_table


def read_translations(
    seed: int, count: int, data_dir: Path | None, table: Path | None, *, longest: int
) -> list[tuple[list[str], list[str]]]:
    """Return pairs of words of the source and of the target.

    Without a file they are the English and French names of ``count`` numbers.

    Args:
        seed: for the numbers.
        count: of the numbers.
        data_dir: folder with a gettext catalogue fr/LC_MESSAGES/*.mo.
        table: TSV file, in the place of a folder.
        longest: largest number of words of a message of a catalogue.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    if table is not None:
        with preparing():
            pairs = read_parallel_table(table)
    elif data_dir is not None:
        paths = sorted(data_dir.expanduser().rglob("fr/LC_MESSAGES/*.mo"))
        if not paths:
            raise UsageError(f"{data_dir}: expected gettext catalogues fr/LC_MESSAGES/*.mo, got none")
        pairs = read_catalogue(paths[0], longest)
    else:
        numbers = number_names(seed, count)
        return [(a.replace("-", " - ").split(), b.replace("-", " - ").split()) for a, b in numbers]
    return [(list(words_and_marks(a)), list(words_and_marks(b))) for a, b in pairs]
