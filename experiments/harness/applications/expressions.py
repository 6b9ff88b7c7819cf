"""Expressions of Python as texts, as trees, and their values."""

import ast

import numpy as np

from jaxdl.data.trees import Tree, Trees, by_level

MODULUS = 5
SIGNS = ("<padding>", *map(str, range(MODULUS)), "+", "-", "*", "(", ")")
"""The tokens of expressions, by id."""
OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}


def draw_expression(generator: np.random.Generator, operators: int) -> str:
    """Draw an expression with a number of operators, in Python's syntax, with the parentheses that it needs.

    >>> text = draw_expression(np.random.default_rng(0), 3)
    >>> sum(text.count(sign) for sign in "+-*")
    3
    """

    def draw(count: int) -> ast.expr:
        if count == 0:
            return ast.Constant(int(generator.integers(MODULUS)))
        left = int(generator.integers(count))
        operator = list(OPERATORS)[generator.integers(3)]
        return ast.BinOp(draw(left), operator(), draw(count - 1 - left))

    return ast.unparse(draw(operators)).replace(" ", "")


def parse(text: str) -> Tree:
    """Parse an expression as a tree of tokens, whose inner nodes are operators.

    >>> parse("2*(1-3)")
    (8, 3, (7, 2, 4))
    """

    def convert(node: ast.expr) -> Tree:
        if isinstance(node, ast.Constant):
            return SIGNS.index(str(node.value))
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return (SIGNS.index(OPERATORS[type(node.op)]), convert(node.left), convert(node.right))
        raise ValueError(f"expected digits, +, - and *, got {ast.unparse(node)!r}")

    return convert(ast.parse(text, mode="eval").body)


def evaluate(tree: Tree) -> int:
    """Compute the value of a tree modulo 5.

    >>> evaluate(parse("2*(1-3)"))
    1
    """
    if isinstance(tree, int):
        return tree - 1
    left, right = evaluate(tree[1]), evaluate(tree[2])
    value = {"+": left + right, "-": left - right, "*": left * right}[SIGNS[tree[0]]]
    return value % MODULUS


def draw_batches(seed: int, batches: int, size: int, operators: tuple[int, int], room: tuple[int, int, int]) -> dict:
    """Draw batches of expressions as texts and as trees.

    Args:
        seed: of the expressions.
        batches: ``N``.
        size: ``B``, expressions of a batch.
        operators: the least and the largest number of operators, equally frequent.
        room: ``(L, W, C)``, the shape of the trees of a batch.

    Returns:
        ``text`` ``[N, B, T]`` and its ``length`` ``[N, B]``, ``label`` ``[N, B]``, and the arrays of `Trees`, each
        ``[N, ...]``.
    """
    generator = np.random.default_rng(seed)
    longest = 4 * operators[1] + 1
    found: dict[str, list] = {name: [] for name in ("text", "length", "label", *Trees._fields)}
    for _ in range(batches):
        counts = generator.integers(operators[0], operators[1] + 1, size)
        texts = [draw_expression(generator, int(count)) for count in counts]
        trees = [parse(text) for text in texts]
        rows = np.zeros((size, longest), np.int32)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = [SIGNS.index(sign) for sign in text]
        values = by_level(trees, room)._asdict()
        values |= {"text": rows, "length": np.array([len(text) for text in texts], np.int32)}
        values["label"] = np.array([evaluate(tree) for tree in trees], np.int32)
        for name, value in values.items():
            found[name].append(value)
    return {name: np.stack(values) for name, values in found.items()}
