"""Vocabularies: tokens and their integer ids."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from jaxdl.checks import check_positive_integer, shorten
from jaxdl.data.files.opening import read_plain_text

PAD = "<padding>"
UNK = "<unknown>"
BOS = "<begin>"
EOS = "<end>"
SPECIAL_TOKENS = (PAD, UNK, BOS, EOS)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with the ids ``0 .. V - 1``: special tokens first, then the tokens of a text, the most frequent first.

    Special tokens mark what is not text: ``PAD`` fills sequences, ``UNK`` replaces tokens outside of the vocabulary,
    ``BOS`` and ``EOS`` enclose a sequence. A token of the text that is spelled like a special token is that token.

    Attributes:
        tokens: the tokens, sorted by id.

    Raises:
        ValueError: a token occurs twice, or there is none.
        TypeError: a token is not a string.

    >>> characters = Vocabulary.build("abracadabra")
    >>> characters.tokens
    ('<padding>', '<unknown>', 'a', 'b', 'r', 'c', 'd')
    >>> characters.encode("bad!").tolist(), "".join(characters.decode([3, 2, 6]))
    ([3, 2, 6, 1], 'bad')
    """

    tokens: tuple[str, ...]

    def __post_init__(self):
        if isinstance(self.tokens, str) or not all(isinstance(token, str) for token in self.tokens):
            raise TypeError(
                f"expected a sequence of tokens, each a string, got {self.tokens!r:.60}; see Vocabulary.build"
            )
        object.__setattr__(self, "tokens", tuple(self.tokens))
        if not self.tokens:
            raise ValueError("expected at least one token, got none")
        if len(self._ids) != len(self.tokens):
            duplicates = [token for token, count in Counter(self.tokens).items() if count > 1]
            raise ValueError(f"expected distinct tokens, got duplicates: {shorten(duplicates[:5])}")

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        *,
        max_size: int | None = None,
        min_count: int = 1,
        special_tokens: Sequence[str] = (PAD, UNK),
    ) -> "Vocabulary":
        """Count tokens, words or the characters of a string, and keep the most frequent; ties are sorted.

        Args:
            tokens: the tokens of a text, with their repetitions.
            max_size: maximum number of tokens, special tokens included.
            min_count: how often a token must occur.
            special_tokens: the first tokens, in this order. Without ``UNK`` an unknown token is an error.

        Raises:
            ValueError: ``min_count`` is not positive, ``max_size`` leaves no room beside the special tokens, or no
                token is frequent enough.
        """
        check_positive_integer("min_count", min_count)
        if max_size is not None and max_size <= len(special_tokens):
            raise ValueError(f"expected max_size > {len(special_tokens)}, the number of special tokens, got {max_size}")
        counts = Counter(tokens)
        for token in special_tokens:
            counts.pop(token, None)
        kept = sorted((token for token in counts if counts[token] >= min_count), key=lambda t: (-counts[t], t))
        if not kept:
            raise ValueError(
                f"expected tokens that occur at least min_count={min_count} times, got none among {counts.total()}; "
                "give more text, or a smaller min_count"
            )
        return cls((*special_tokens, *kept)[:max_size])

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read a vocabulary that `save` wrote.

        Raises:
            ValueError: the file contains no vocabulary.
        """
        try:
            content = json.loads(read_plain_text(path))
            if not isinstance(content, dict) or not isinstance(content.get("tokens"), list):
                raise ValueError('expected an object with a list "tokens"')
            return cls(tuple(content["tokens"]))
        except (ValueError, TypeError, RecursionError) as error:  # RecursionError: deeply nested JSON
            raise ValueError(f"{path} is not a vocabulary: {shorten(error)}") from error

    def save(self, path: str | Path) -> None:
        """Write the tokens as JSON, sorted by id; the file is replaced atomically."""
        path = Path(path)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps({"tokens": self.tokens}, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """Return the id of a token, that of ``UNK`` for unknown tokens.

        Raises:
            ValueError: the token is unknown, and there is no ``UNK``.
        """
        token_id = self._ids.get(token, self._ids.get(UNK))
        if token_id is None:
            raise ValueError(
                f"expected one of {len(self)} tokens, got {shorten(repr(token))}; give {UNK} among the special tokens"
            )
        return token_id

    @property
    def pad_id(self) -> int:
        """The id of ``PAD``; ValueError if there is none, as for the other special tokens."""
        return self._special_id(PAD)

    @property
    def unk_id(self) -> int:
        """The id of ``UNK``."""
        return self._special_id(UNK)

    @property
    def bos_id(self) -> int:
        """The id of ``BOS``."""
        return self._special_id(BOS)

    @property
    def eos_id(self) -> int:
        """The id of ``EOS``."""
        return self._special_id(EOS)

    def extend(self, tokens: Iterable[str], max_extra: int) -> "Vocabulary":
        """Return a vocabulary with up to ``max_extra`` unknown tokens of a text after these, in their order there.

        The ids of the tokens of a source that a pointer can copy (See et al., 2017); those of its summary are encoded
        by the same vocabulary, where tokens that the source does not have remain unknown.

        >>> Vocabulary((UNK, "the")).extend(["the", "dax", "met", "the", "wug"], 2).tokens
        ('<unknown>', 'the', 'dax', 'met')
        """
        unknown = [token for token in dict.fromkeys(tokens) if token not in self]
        return Vocabulary((*self.tokens, *unknown[:max_extra]))

    def encode(self, tokens: Iterable[str], *, add_bos: bool = False, add_eos: bool = False) -> np.ndarray:
        """Return the ids of tokens, int32 ``[T]``, optionally with ``BOS`` before and ``EOS`` after them.

        Raises:
            ValueError: a token is unknown, and there is no ``UNK``; or there is no ``BOS`` or ``EOS``.
        """
        before = np.asarray([self.bos_id] if add_bos else [], np.int32)
        after = np.asarray([self.eos_id] if add_eos else [], np.int32)
        tokens = list(tokens)
        unknown = self._ids.get(UNK, -1)
        ids = np.fromiter((self._ids.get(token, unknown) for token in tokens), np.int32, len(tokens))
        if unknown < 0 and (ids < 0).any():
            self[tokens[int(np.argmin(ids))]]  # raises an error with the first unknown token
        return np.concatenate([before, ids, after])

    def decode(self, ids: Iterable[int] | np.ndarray, *, skip_special_tokens: bool = False) -> list[str]:
        """Return the tokens of ids, optionally without the special tokens.

        Raises:
            ValueError: an id is not in ``0 .. V - 1``.
            TypeError: the ids are not integers.
        """
        array = np.asarray(ids if hasattr(ids, "__len__") else list(ids)).reshape(-1)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"expected integer token ids, got {array.dtype}; take the argmax of logits first")
        outside = (array < 0) | (array >= len(self))
        if outside.any():
            raise ValueError(f"expected token ids in 0 .. {len(self) - 1}, got {array[outside][0]}")
        tokens = [self.tokens[token_id] for token_id in array.tolist()]
        return [token for token in tokens if token not in SPECIAL_TOKENS] if skip_special_tokens else tokens

    def _special_id(self, token: str) -> int:
        if token not in self:
            raise ValueError(f"expected a vocabulary with {token}, got none; give it among the special tokens of build")
        return self._ids[token]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}
