"""Python sources as tagged text: real text, available on every machine, with tags computed from the syntax tree.

A tag is the role of a word in its line; equal words with different tags differ in their context alone.
"""

import ast
import io
import keyword
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

from jaxdl.checks import shorten
from jaxdl.data.epochs import permutation
from jaxdl.data.sources.corpora import TaggedSentence

TAGS = (
    "keyword",
    "operator",
    "number",
    "string",
    "function",
    "class",
    "parameter",
    "argument",
    "call",
    "method",
    "attribute",
    "target",
    "variable",
    "import",
)
KINDS = {tokenize.OP: "operator", tokenize.NUMBER: "number", tokenize.STRING: "string"}
KINDS |= {
    getattr(tokenize, name): "string"
    for name in ("FSTRING_START", "FSTRING_END")  # since Python 3.12 the words of an f-string are tokens
    if hasattr(tokenize, name)
}
DEFINITIONS = {"def": "function", "class": "class"}

Place = tuple[int, int]


def tagged_lines(source: str) -> list[TaggedSentence]:
    """Tag every word of a Python source, logical line by logical line, without comments.

    ``TAGS`` are keyword, operator, number and string; the names in a definition: function, class and parameter; the
    name of a keyword argument in a call (argument); called names, plain (call) or after a dot (method), and other names
    after a dot (attribute); names that are assigned (target) or read (variable); and imported names (import).

    Raises:
        ValueError: the source is not valid Python.

    >>> tagged_lines("x, y = f(a.b, key=x)  # a comment")[0].tags
    ('target', 'operator', 'target', 'operator', 'call', 'operator', 'variable', 'operator', 'attribute', 'operator',
     'argument', 'operator', 'variable', 'operator')
    """
    try:
        roles = _roles(ast.parse(source), source.split("\n"))
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, tokenize.TokenError, RecursionError, MemoryError) as error:  # the last two: depth
        raise ValueError(f"expected Python source, got {shorten(error) or 'too many nested expressions'}") from error
    lines, words = [], []
    for token in tokens:
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if words:
                lines.append(TaggedSentence(*zip(*words, strict=True)))
            words = []
        elif token.type == tokenize.NAME:
            words.append((token.string, _name_tag(token, words, roles)))
        elif token.type in KINDS:
            words.append((token.string, KINDS[token.type]))
    return lines


def standard_library() -> list[Path]:
    """List the single-file modules of the standard library, sorted by name."""
    return sorted(path for path in Path(sysconfig.get_path("stdlib")).glob("*.py") if path.name[0] != "_")


def tagged_modules(seed: int, count: int, *, test_every: int = 5) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    """Read the lines of the standard library's modules in a random order, for training and for testing.

    Every ``test_every``-th module, the first included, is for the test.

    Args:
        seed: seed of the order.
        count: maximal number of training lines; of the test ``count / (test_every - 1)``.
        test_every: at least 2.

    >>> [len(part) for part in tagged_modules(0, 40)]
    [40, 10]
    """
    paths = standard_library()
    parts: tuple[list[TaggedSentence], list[TaggedSentence]] = ([], [])
    for number, i in enumerate(permutation(len(paths), seed, 0)):
        if min(len(parts[0]), len(parts[1]) * (test_every - 1)) >= count:
            break
        parts[number % test_every == 0].extend(tagged_lines(paths[i].read_text(encoding="utf-8")))
    return parts[0][:count], parts[1][: max(1, count // (test_every - 1))]


def _name_tag(token: tokenize.TokenInfo, before: list[tuple[str, str]], roles: dict[tuple[str, Place], str]) -> str:
    if keyword.iskeyword(token.string):
        return "keyword"
    if before and before[-1][0] in DEFINITIONS:
        return DEFINITIONS[before[-1][0]]
    if before and before[0][0] in ("import", "from"):
        return "import"
    return roles.get((token.string, token.start), "variable")


def _roles(module: ast.Module, lines: list[str]) -> dict[tuple[str, Place], str]:
    """Map names and their places (line from 1, character from 0) to the tags that the syntax tree determines."""
    called = {id(node.func) for node in ast.walk(module) if isinstance(node, ast.Call)}
    found = {}
    for node in ast.walk(module):
        for name, line, byte, tag in _names(node, called):
            text = lines[line - 1] if line <= len(lines) else ""
            character = byte if text.isascii() else len(text.encode()[:byte].decode(errors="ignore"))
            found[name, (line, character)] = tag
    return found


def _names(node: ast.AST, called: set[int]) -> Iterator[tuple[str, int, int, str]]:
    """Yield the names of a node itself: name, line, byte in the line, tag."""
    if isinstance(node, ast.Name):
        read = "call" if id(node) in called else "variable"
        yield node.id, node.lineno, node.col_offset, read if isinstance(node.ctx, ast.Load) else "target"
    elif isinstance(node, ast.Attribute):
        assert node.end_lineno is not None  # always set by ast.parse
        assert node.end_col_offset is not None
        start = node.end_col_offset - len(node.attr.encode())
        yield node.attr, node.end_lineno, start, "method" if id(node) in called else "attribute"
    elif isinstance(node, ast.arg):
        yield node.arg, node.lineno, node.col_offset, "parameter"
    elif isinstance(node, ast.keyword) and node.arg is not None:
        yield node.arg, node.lineno, node.col_offset, "argument"
