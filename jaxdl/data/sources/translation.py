"""Sentences and their translations that every machine can make: dates, and a language of two rules."""

import numpy as np

from jaxdl.data.bucketing import pad

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORMS = (
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
"""How a date may be written; with dots the day comes first, with strokes the month."""
FIRST, LAST = 1950, 2049
"""Years, so that two digits say which is meant."""
PADDING, BEGIN, END, WORD = 0, 1, 2, 3
"""Tokens of the two-rule language: the words are the numbers from ``WORD`` on."""


def dates(seed: int, count: int) -> list[tuple[str, str]]:
    """Draw different days from 1950 to 2049, each written in one of many ways, and as ``YYYY-MM-DD``.

    Whoever translates has to find the day, the month and the year wherever they stand, to know the months by name, and
    to leave out the day of the week.

    Args:
        seed: of the days and the ways.
        count: how many, at most the 36,525 days that there are.

    Returns:
        Pairs of the written date, in small letters, and its translation.

    Raises:
        ValueError: there are not as many days.

    >>> dates(0, 2)
    [('...', '...-...-...'), ('...', '...-...-...')]
    """
    days = np.arange(np.datetime64(f"{FIRST}-01-01"), np.datetime64(f"{LAST + 1}-01-01"))
    if not 0 < count <= len(days):
        raise ValueError(f"dates has {len(days)} different days; asked for {count}")
    random = np.random.default_rng(seed)
    chosen, forms = random.choice(days, count, replace=False), random.integers(len(FORMS), size=count)
    return [(write_date(day, FORMS[form]), str(day)) for day, form in zip(chosen, forms, strict=True)]


def write_date(day: np.datetime64, form: str) -> str:
    """Write a day in one of the ``FORMS``.

    >>> write_date(np.datetime64("2021-03-03"), "{weekday} the {ordinal} of {month} {year}")
    'wednesday the 3rd of march 2021'
    """
    date = day.astype("datetime64[D]").item()
    endings = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
    return form.format(
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
    seed: int, count: int, lengths: tuple[int, int], *, words: int = 12, longest: int | None = None
) -> dict[str, np.ndarray]:
    """Draw sentences of a made-up language and translate them: word for word, and neighbours change places.

    The word ``w`` is translated as the next, the last as the first; of every two words the second is said before the
    first, and the last word of an odd number stays. So each word of the translation depends on one word of the
    source, which stands near its place, and a translation is the harder the more there is to remember.

    Args:
        seed: of the sentences.
        count: ``N``.
        lengths: the fewest and the most words of a sentence, which are drawn evenly.
        words: how many words the language has.
        longest: the length to which sentences are padded; None for the most words.

    Returns:
        ``"source"`` ``[N, S]``, ``"target"`` ``[N, S + 1]``, which ends with ``END``, and ``"source_length"`` and
        ``"target_length"`` ``[N]``, as ``tasks.translation`` takes them.

    Raises:
        ValueError: the lengths are not positive and rising, or there are no two words.

    >>> {name: array.tolist() for name, array in two_rules(0, 1, (3, 3)).items()}
    {'source': [[13, 10, 9]], 'target': [[11, 14, 10, 2]], 'source_length': [3], 'target_length': [4]}
    """
    least, most = lengths
    if not 1 <= least <= most or words < 2:
        raise ValueError(f"lengths must be at least 1 and rising, words at least 2; got {lengths} and {words}")
    random = np.random.default_rng(seed)
    number = random.integers(least, most + 1, size=count)
    sources = [random.integers(words, size=n, dtype=np.int32) for n in number]
    targets = [np.append((source[swapped(len(source))] + 1) % words + WORD, np.int32(END)) for source in sources]
    longest = most if longest is None else longest
    source, source_length = pad([source + WORD for source in sources], longest, value=PADDING)
    target, target_length = pad(targets, longest + 1, value=PADDING)
    return {"source": source, "target": target, "source_length": source_length, "target_length": target_length}


def swapped(length: int) -> np.ndarray:
    """Return the places ``0 .. length - 1`` with neighbours changed: which word of the source is said at each place.

    >>> swapped(5).tolist()
    [1, 0, 3, 2, 4]
    """
    return np.minimum(np.arange(length) ^ 1, length - 1)
