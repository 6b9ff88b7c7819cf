"""Tags of Python source: by hand for a page, and by rules of the grammar for whole modules."""

import keyword

import pytest

from jaxdl.data.sources.python_code import TAGS, standard_library, tagged_lines, tagged_modules

PAGE = '''
import os.path as p
from a import (b,  # c
               d)
@wrap
class Größe(Base, meta=M):
    """Ä string."""
    async def read(self, *rest: int, key=None) -> str:
        for i, (j, ü) in enumerate(rest): ü.x = é = self.go(i)[j].y
        return lambda q: q + 1.5 if not key else other[q](key=q)
'''
EXPECTED = [
    "import/keyword os/import ./operator path/import as/keyword p/import",
    "from/keyword a/import import/keyword (/operator b/import ,/operator d/import )/operator",
    "@/operator wrap/variable",
    "class/keyword Größe/class (/operator Base/variable ,/operator meta/argument =/operator M/variable )/operator "
    ":/operator",
    '"""Ä string."""/string',
    "async/keyword def/keyword read/function (/operator self/parameter ,/operator */operator rest/parameter :/operator "
    "int/variable ,/operator key/parameter =/operator None/keyword )/operator ->/operator str/variable :/operator",
    "for/keyword i/target ,/operator (/operator j/target ,/operator ü/target )/operator in/keyword enumerate/call "
    "(/operator rest/variable )/operator :/operator ü/variable ./operator x/attribute =/operator é/target =/operator "
    "self/variable ./operator go/method (/operator i/variable )/operator [/operator j/variable ]/operator ./operator "
    "y/attribute",
    "return/keyword lambda/keyword q/parameter :/operator q/variable +/operator 1.5/number if/keyword not/keyword "
    "key/variable else/keyword other/variable [/operator q/variable ]/operator (/operator key/argument =/operator "
    "q/variable )/operator",
]


def test_tags_agree_with_tags_by_hand():
    lines = tagged_lines(PAGE)
    written = [" ".join(f"{word}/{tag}" for word, tag in zip(*line, strict=True)) for line in lines]
    assert written == EXPECTED


def test_tags_of_the_standard_library_obey_the_grammar():
    paths = standard_library()
    assert len(paths) > 50
    seen = set()
    for name in ("dataclasses.py", "textwrap.py"):
        (path,) = [path for path in paths if path.name == name]
        for words, tags in tagged_lines(path.read_text(encoding="utf-8")):
            seen |= set(tags)
            for word, tag, before, after in zip(words, tags, ("", *words), (*words[1:], ""), strict=False):
                assert (tag == "keyword") == keyword.iskeyword(word)
                assert (tag in ("function", "class")) == (before in ("def", "class"))
                assert tag not in ("call", "method") or after == "("
                assert tag not in ("method", "attribute") or before == "."
                assert tag != "argument" or after == "="
                assert tag != "string" or word[-1] in "\"'"
    assert seen == set(TAGS)


@pytest.mark.parametrize(
    "source", ["x = (", "def f(:", "a\0b", "x = 'open", "-" * 50_000 + "1", "[" * 500, "a" + ".b" * 50_000]
)
def test_invalid_Python_is_an_error(source):
    with pytest.raises(ValueError, match="expected Python source, got"):
        tagged_lines(source)


def test_an_empty_source_has_no_lines():
    assert tagged_lines("\n# nothing\n") == []


def test_modules_are_for_training_or_for_the_test():
    learned, tested = tagged_modules(0, 60)
    assert (len(learned), len(tested)) == (60, 15)
    assert (learned, tested) == tagged_modules(0, 60)
    assert learned != tagged_modules(1, 60)[0]
    assert tagged_modules(0, 1)[1] == tested[:1]
