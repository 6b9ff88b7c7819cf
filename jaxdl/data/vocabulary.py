"""Tokens and their numbers."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

PADDING = "<padding>"
UNKNOWN = "<unknown>"
BEGIN = "<begin>"
END = "<end>"
SYMBOLS = (PADDING, UNKNOWN, BEGIN, END)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens ``0 .. V - 1``: symbols first, then what was seen, the most frequent first.

    A symbol is a token that stands for no text: ``PADDING`` after an end, ``UNKNOWN`` for what the vocabulary does not
    hold, ``BEGIN`` and ``END`` around a sequence. Which of them there are is said in ``build``; a token of the text
    that is spelled as a symbol is that symbol.

    Attributes:
        tokens: the tokens in the order of their numbers.

    Raises:
        ValueError: a token occurs twice, or there is none.
        TypeError: a token is no string.

    >>> characters = Vocabulary.build("abracadabra", symbols=(PADDING, UNKNOWN))
    >>> characters.tokens
    ('<padding>', '<unknown>', 'a', 'b', 'r', 'c', 'd')
    >>> characters.encode("bad!").tolist(), "".join(characters.decode([3, 2, 6]))
    ([3, 2, 6, 1], 'bad')
    """

    tokens: tuple[str, ...]

    def __post_init__(self):
        if isinstance(self.tokens, str) or not all(isinstance(token, str) for token in self.tokens):
            raise TypeError("a vocabulary expects a sequence of tokens, each a string; Vocabulary.build counts a text")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not self.tokens:
            raise ValueError("a vocabulary needs at least one token, got none")
        if len(self._numbers) != len(self.tokens):
            twice = [token for token, count in Counter(self.tokens).items() if count > 1]
            raise ValueError(f"the tokens of a vocabulary must differ, but these occur twice: {twice[:5]}")

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        *,
        size: int | None = None,
        min_count: int = 1,
        symbols: Sequence[str] = (PADDING, UNKNOWN),
    ) -> "Vocabulary":
        """Count tokens, words or the characters of a string, and keep the most frequent; of equal ones the lesser.

        Args:
            tokens: all that was seen, repetitions and all.
            size: how many tokens at most, symbols counted.
            min_count: how often a token must have been seen.
            symbols: they come first, in this order. Without ``UNKNOWN`` an unseen token is an error.

        Raises:
            ValueError: a number is not positive, there is no room beside the symbols, or no token is left.
        """
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, got {min_count}")
        if size is not None and size <= len(symbols):
            raise ValueError(f"size counts the {len(symbols)} symbols and must be more than that, got {size}")
        counts = Counter(tokens)
        for symbol in symbols:
            counts.pop(symbol, None)
        kept = sorted((token for token in counts if counts[token] >= min_count), key=lambda t: (-counts[t], t))
        if not kept:
            raise ValueError(
                f"no token was seen {min_count} times or more among {sum(counts.values())}: give more text, or a "
                "smaller min_count"
            )
        return cls((*symbols, *kept)[:size])

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read what ``save`` wrote.

        Raises:
            ValueError: the file holds no vocabulary.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict) or not isinstance(content.get("tokens"), list):
                raise ValueError('expected an object with a list "tokens"')
            return cls(tuple(content["tokens"]))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} holds no vocabulary: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the tokens as JSON, in the order of their numbers; the file appears whole or not at all."""
        path = Path(path)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps({"tokens": self.tokens}, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def __getitem__(self, token: str) -> int:
        """Return the number of a token; of one that is not there, that of ``UNKNOWN``.

        Raises:
            ValueError: the token is not there, and neither is ``UNKNOWN``.
        """
        number = self._numbers.get(token, self._numbers.get(UNKNOWN))
        if number is None:
            raise ValueError(f"{token!r} is not among the {len(self)} tokens, which have no {UNKNOWN} in its place")
        return number

    def encode(self, tokens: Iterable[str], *, begin: bool = False, end: bool = False) -> np.ndarray:
        """Return the numbers of tokens, int32 ``[T]``, with ``BEGIN`` before and ``END`` behind them where asked for.

        Raises:
            ValueError: a token is unknown, and there is no ``UNKNOWN``; or there is no ``BEGIN`` or ``END``.
        """
        for symbol in [BEGIN] * begin + [END] * end:
            if symbol not in self:
                raise ValueError(f"this vocabulary has no {symbol}; give it among the symbols of Vocabulary.build")
        unknown = self._numbers.get(UNKNOWN, -1)
        tokens = [*[BEGIN] * begin, *tokens, *[END] * end]
        numbers = np.fromiter((self._numbers.get(token, unknown) for token in tokens), np.int32, len(tokens))
        if unknown < 0 and (numbers < 0).any():
            self[tokens[int(np.argmin(numbers))]]  # says which token it is
        return numbers

    def decode(self, numbers: Iterable[int], *, symbols: bool = True) -> list[str]:
        """Return the tokens of numbers; without ``symbols``, those that stand for no text are left out.

        Raises:
            ValueError: a number is none of ``0 .. V - 1``.
            TypeError: these are no integers.
        """
        numbers = np.asarray(numbers if hasattr(numbers, "__len__") else list(numbers)).reshape(-1)
        if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
            raise TypeError(f"numbers of tokens are integers, got {numbers.dtype}: take the argmax of logits first")
        outside = (numbers < 0) | (numbers >= len(self))
        if outside.any():
            raise ValueError(f"numbers of tokens lie in 0 .. {len(self) - 1}, got {numbers[outside][0]}")
        tokens = [self.tokens[number] for number in numbers.tolist()]
        return tokens if symbols else [token for token in tokens if token not in SYMBOLS]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}
