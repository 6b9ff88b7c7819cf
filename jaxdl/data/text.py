"""Splitting of text into words, and of tokens into the streams and windows that a recurrent network reads."""

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

import einops
import numpy as np

from jaxdl.checks import check_in_range

INNER = "".join(
    (
        "'",
        "\N{RIGHT SINGLE QUOTATION MARK}",
        "\N{FULLWIDTH APOSTROPHE}",
        "\N{MIDDLE DOT}",
        "\N{SOFT HYPHEN}",
        "\N{HEBREW PUNCTUATION GERESH}",
        "\N{HEBREW PUNCTUATION GERSHAYIM}",
    )
)
"""Characters within a word: apostrophes, Catalan's dot, hyphenation, Hebrew's quotation marks."""
MAX_TOKEN = 2**31 - 1
INVISIBLE = "\ufeff\u200b\u200e\u200f\u061c\u202a-\u202e\u2060-\u2064\u2066-\u2069"
"""Byte-order mark, zero-width space, and marks of the direction of writing: no tokens."""
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
SKIN_TONES = "\N{EMOJI MODIFIER FITZPATRICK TYPE-1-2}-\N{EMOJI MODIFIER FITZPATRICK TYPE-6}"

Text = TypeVar("Text", str, Sequence, np.ndarray)


def split_text(text: Text, held_out: float = 0.1) -> tuple[Text, Text]:
    """Split a text, or its tokens, into ``(rest, held_out)``: the last tokens, a fraction ``held_out``, are held out.

    Raises:
        ValueError: one part would be empty.

    >>> split_text("abcdefghij", 0.2)
    ('abcdefgh', 'ij')
    """
    cut = len(text) - round(held_out * len(text))
    if not 0 < cut < len(text):
        raise ValueError(f"expected held_out to leave text on both sides, got {held_out} of {len(text)} tokens")
    return text[:cut], text[cut:]


def words(text: str, *, newlines: bool = False) -> list[str]:
    """Split a text into words and single punctuation characters; with ``newlines``, line ends are tokens too.

    A word is a sequence of letters, digits and underscores of any script, with their combining marks and with
    apostrophes between them, straight or curly. The text is normalized first (NFC), so that a letter with an accent is
    one word whether it was written as one character or two. Scripts without spaces (Chinese, Japanese, Thai, Lao,
    Khmer, Burmese) are not segmented: all letters up to a space or a punctuation mark are one word. Take
    characters there, ``list(text)``, or a segmenter. Marks that are not seen, of the byte order or the direction of
    writing, are no words.

    >>> words("Don't panic, 42.")
    ["Don't", 'panic', ',', '42', '.']
    """
    return _word(newlines).findall(unicodedata.normalize("NFC", text))


@functools.cache
def combining_marks() -> str:
    """Return all combining marks of Unicode as ranges in a class of a regular expression."""
    marks = [code for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)) if _is_mark(chr(code))]
    first = [code for code, before in zip(marks, [0, *marks], strict=False) if code != before + 1]
    last = [code for code, after in zip(marks, [*marks[1:], 0], strict=True) if code != after - 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(first, last, strict=True))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


@functools.cache
def _word(newlines: bool) -> re.Pattern[str]:
    letters = rf"\w[\w{combining_marks()}{JOINERS}]*"
    symbol = rf"[^\w\s{INVISIBLE}][{combining_marks()}{SKIN_TONES}]*"
    emoji = rf"{symbol}(?:\u200d{symbol})*"  # joined by ZERO WIDTH JOINER
    return re.compile(rf"{letters}(?:[{INNER}]{letters})*|{emoji}" + (r"|\n" if newlines else ""))


def streams(tokens: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Cut a text into ``count`` equal streams in which every token but the very first is predicted once.

    The streams of the ``N`` tokens ``x_0 .. x_(N-1)`` have the length ``S = ceil((N - 1) / count)``: ``"token"`` at
    ``[b, t]`` is ``x_(b S + t)``, and ``"target"`` the token after it. The last streams are padded with zeros where
    ``"mask"`` is 0. All are ``[count, S]``.

    Raises:
        ValueError: there are fewer than two tokens for a stream.

    >>> {name: array.tolist() for name, array in streams(np.arange(6), 2).items()}
    {'token': [[0, 1, 2], [3, 4, 0]], 'target': [[1, 2, 3], [4, 5, 0]], 'mask': [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]}
    """
    tokens = _check_tokens(tokens, count)
    length = -(-(len(tokens) - 1) // count)
    padded = np.zeros(count * length + 1, np.int32)
    padded[: len(tokens)] = tokens
    valid = np.arange(count * length) < len(tokens) - 1
    token, target = np.where(valid, padded[:-1], 0), padded[1:]
    arrays = {"token": token, "target": target, "mask": valid.astype(np.float32)}
    return {name: np.ascontiguousarray(array).reshape(count, length) for name, array in arrays.items()}


def windows(
    tokens: np.ndarray, batch_size: int, length: int, *, restart_probability: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Cut a text into parallel streams and these into windows, for training that carries the state over.

    The rows are ordered so that ``Loader(windows(tokens, B, T), B, shuffle=False)`` yields as batch ``s`` the window
    ``s`` of each of ``B`` streams: row ``b`` of a batch continues row ``b`` of the batch before. A loader
    with another batch size, or that shuffles, is an error. ``"start"`` is 1 in the first window of a stream, which has
    no predecessor. With ``S`` whole windows in a stream, the arrays are ``"token"`` and ``"target"`` ``[S B, T]`` int32
    and ``"start"`` ``[S B]`` float32. Tokens that fill no window at the end of a stream are left out.

    With ``restart_probability`` each other window is marked as a start at random. A network trained on carried states
    alone hardly sees the zero state in which every text begins, and may generate poorly from it.

    Args:
        tokens: token ids ``[N]``.
        batch_size: ``B``, the number of streams.
        length: ``T``, tokens in a window.
        restart_probability: probability that a window is marked as a start.
        seed: seed of the restarts.

    Raises:
        ValueError: the text is too short for a window of every stream, or the probability is not in [0, 1].

    >>> windows(np.arange(9), 2, 2)["token"].tolist()
    [[0, 1], [4, 5], [2, 3], [6, 7]]
    """
    tokens = _check_tokens(tokens, batch_size)
    if length < 1:
        raise ValueError(f"expected windows of length >= 1, got {length}")
    stream_length = (len(tokens) - 1) // batch_size
    count = stream_length // length
    if count == 0:
        raise ValueError(
            f"expected streams of at least one window of {length} tokens, got {len(tokens)} tokens in {batch_size} "
            f"streams of {stream_length}; give more text, fewer streams or a shorter window"
        )
    check_in_range("restart_probability", restart_probability, 0.0, 1.0)
    first = np.arange(batch_size) * stream_length
    offset = np.arange(count * length).reshape(count, length)
    index = einops.rearrange(first[None, :, None] + offset[:, None], "window stream t -> (window stream) t")
    raw = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(count * batch_size)
    start = (raw / 2.0**64 < restart_probability).astype(np.float32)
    start[:batch_size] = 1
    return {"token": tokens[index], "target": tokens[index + 1], "start": start}


def overlapping_rows(tokens: np.ndarray, length: int) -> dict[str, np.ndarray]:
    """Cut a text into rows that overlap by half, to evaluate a model that sees its context only.

    The mask selects the second half of each row, and all of the first row: every token but the very first is predicted
    once, and from at least half a row except at the beginning.

    Args:
        tokens: token ids ``[N]``.
        length: ``T``, an even number.

    Returns:
        ``"token"``, ``"target"`` and ``"mask"``, all ``[rows, T]``.

    Raises:
        ValueError: the length is not even or not positive, or there are fewer than two tokens.

    >>> {name: array.tolist() for name, array in overlapping_rows(np.arange(6), 4).items() if name != "target"}
    {'token': [[0, 1, 2, 3], [2, 3, 4, 5]], 'mask': [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]]}
    """
    tokens = _check_tokens(tokens, 1)
    if length < 2 or length % 2:
        raise ValueError(f"expected rows of an even length >= 2, got {length}")
    half, last = length // 2, len(tokens) - 1
    starts = np.arange(0, max(last - half, 1), half)
    places = starts[:, None] + np.arange(length)
    counts = (places < last) & ((np.arange(length) >= half) | (starts[:, None] == 0))
    token, target = (tokens[np.minimum(places + shift, last)] for shift in (0, 1))
    return {"token": token, "target": target, "mask": counts.astype(np.float32)}


def _check_tokens(tokens: np.ndarray, count: int) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"expected integer token ids [N], got {tokens.dtype} {list(tokens.shape)}")
    if count < 1 or len(tokens) - 1 < count:
        raise ValueError(
            f"expected 1 .. {len(tokens) - 1} streams of {len(tokens)} tokens, each with a token and one to predict, "
            f"got {count}"
        )
    if tokens.max(initial=0) > MAX_TOKEN or tokens.min(initial=0) < -MAX_TOKEN:
        raise ValueError(f"expected token ids of 32 bits, got {tokens.min()} .. {tokens.max()}")
    return tokens.astype(np.int32)
