"""Synthetic translation tasks: written dates, and an artificial language with two rules."""

from collections.abc import Iterable

import numpy as np

from jaxdl.data.bucketing import pad

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORMATS = (
    "{day} {month} {year}",
    "{month} {day}, {year}",
    "{month} {ordinal}, {year}",
    "the {ordinal} of {month}, {year}",
    "{weekday}, {day} {month} {year}",
    "{weekday} the {ordinal} of {month} {year}",
    "{short}. {day}, {year}",
    "{day} {short} '{yy}",
    "{weekday}, {short} {day} {year}",
    "{day}.{number}.{year}",
    "{number:02}/{day:02}/{yy}",
    "{year}, {month} {day}",
)
"""Formats of a date; the day precedes the month with dots, the month the day with slashes."""
FIRST_YEAR, LAST_YEAR = 1950, 2049
"""A century, so that two digits determine the year."""
PAD_ID, BOS_ID, EOS_ID, FIRST_WORD_ID = 0, 1, 2, 3
"""Token ids of the two-rule language."""


def dates(seed: int, count: int) -> list[tuple[str, str]]:
    """Draw distinct days from 1950 to 2049, each written in a random format and as ``YYYY-MM-DD``.

    A translator must locate the day, the month and the year, know the names of the months, and ignore the weekday.

    Args:
        seed: seed of the days and formats.
        count: number of dates, at most the 36,525 days of a century.

    Returns:
        Pairs of the written date, in lower case, and its translation.

    Raises:
        ValueError: ``count`` is not positive, or larger than the number of days.

    >>> dates(0, 2)
    [('...', '...-...-...'), ('...', '...-...-...')]
    """
    days = np.arange(np.datetime64(f"{FIRST_YEAR}-01-01"), np.datetime64(f"{LAST_YEAR + 1}-01-01"))
    if not 0 < count <= len(days):
        raise ValueError(f"expected a count in 1 .. {len(days)}, got {count}")
    random = np.random.default_rng(seed)
    chosen, formats = random.choice(days, count, replace=False), random.integers(len(FORMATS), size=count)
    return [(format_date(day, FORMATS[index]), str(day)) for day, index in zip(chosen, formats, strict=True)]


def format_date(day: np.datetime64, template: str) -> str:
    """Write a day in one of the ``FORMATS``.

    >>> format_date(np.datetime64("2021-03-03"), "{weekday} the {ordinal} of {month} {year}")
    'wednesday the 3rd of march 2021'
    """
    date = day.astype("datetime64[D]").item()
    endings = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
    return template.format(
        day=date.day,
        ordinal=f"{date.day}{endings.get(date.day, 'th')}",
        month=MONTHS[date.month - 1],
        short=MONTHS[date.month - 1][:3],
        number=date.month,
        year=date.year,
        yy=f"{date.year % 100:02}",
        weekday=DAYS[date.weekday()],
    )


def two_rules(
    seed: int, count: int, lengths: tuple[int, int], *, num_words: int = 12, max_length: int | None = None
) -> dict[str, np.ndarray]:
    """Draw sentences of an artificial language and translate them word for word, with neighbours swapped.

    The translation of word ``w`` is ``w + 1`` modulo the number of words. Within each pair of words the order is
    swapped; the last word of an odd number stays in place. Each word of the translation depends on one word of the
    source near its position, and the memory required grows with the length.

    Args:
        seed: seed of the sentences.
        count: ``N``.
        lengths: minimum and maximum number of words of a sentence, drawn uniformly.
        num_words: number of words of the language.
        max_length: length to which sentences are padded; None for the maximum number of words.

    Returns:
        ``"source"`` ``[N, S]``, ``"target"`` ``[N, S + 1]``, which ends with ``EOS_ID``, and ``"source_length"`` and
        ``"target_length"`` ``[N]``, as ``tasks.translation`` expects them.

    Raises:
        ValueError: the lengths are not positive and increasing, or there are fewer than two words.

    >>> {name: array.tolist() for name, array in two_rules(0, 1, (3, 3)).items()}
    {'source': [[13, 10, 9]], 'target': [[11, 14, 10, 2]], 'source_length': [3], 'target_length': [4]}
    """
    least, most = lengths
    if not 1 <= least <= most or num_words < 2:
        raise ValueError(f"expected 1 <= min <= max for lengths and num_words >= 2, got {lengths} and {num_words}")
    random = np.random.default_rng(seed)
    sizes = random.integers(least, most + 1, size=count)
    sources = [random.integers(num_words, size=n, dtype=np.int32) for n in sizes]
    targets = [(source[swap_neighbours(len(source))] + 1) % num_words + FIRST_WORD_ID for source in sources]
    targets = [np.append(target, np.int32(EOS_ID)) for target in targets]
    max_length = most if max_length is None else max_length
    source, source_length = pad([source + FIRST_WORD_ID for source in sources], max_length, value=PAD_ID)
    target, target_length = pad(targets, max_length + 1, value=PAD_ID)
    return {"source": source, "target": target, "source_length": source_length, "target_length": target_length}


def swap_neighbours(length: int) -> np.ndarray:
    """Return the indices ``0 .. length - 1`` with neighbours swapped: the source position of each target position.

    >>> swap_neighbours(5).tolist()
    [1, 0, 3, 2, 4]
    """
    return np.minimum(np.arange(length) ^ 1, length - 1)


def leave_out(
    tested: Iterable[dict[str, np.ndarray]], drawn: dict[str, np.ndarray], count: int
) -> dict[str, np.ndarray]:
    """Return the first ``count`` of the drawn sentences whose source is in none of the tests.

    All sources must be padded to the same length.

    >>> drawn = {"source": np.array([[3, 4], [5, 6], [6, 5]])}
    >>> leave_out([{"source": np.array([[5, 6]])}], drawn, 2)["source"].tolist()
    [[3, 4], [6, 5]]
    """
    known = {row.tobytes() for test in tested for row in test["source"]}
    kept = [i for i, row in enumerate(drawn["source"]) if row.tobytes() not in known][:count]
    return {name: rows[kept] for name, rows in drawn.items()}


def spell_sentences(tokens: np.ndarray) -> list[str]:
    """Join tokens ``[N, T]`` of the two-rule language to texts, without the special symbols.

    >>> spell_sentences(np.array([[5, 4, 2, 0]]))
    ['w5 w4']
    """
    return [" ".join(f"w{token}" for token in row if token >= FIRST_WORD_ID) for row in tokens]
