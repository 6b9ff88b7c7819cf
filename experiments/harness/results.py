"""Results by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table


def means(**tables: Mapping[Any, Any]) -> dict[str, float]:
    """Name the mean of every row of every table, ``table_row``; integers stay integers.

    A row's name may be a tuple; its spaces and hyphens become underscores, and its commas go.

    >>> means(loss={"fine-tune": np.array([1.0, 2.0]), ("plain", 8): 0.5}, units={2: 7})
    {'loss_fine_tune': 1.5, 'loss_plain_8': 0.5, 'units_2': 7}
    """
    return {
        f"{table}_{_word(name)}": value if isinstance(value, int) else float(np.mean(value))
        for table, rows in tables.items()
        for name, value in rows.items()
    }


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Make a table for the terminal."""
    result = Table(*columns, title=title)
    for row in rows:
        result.add_row(*row)
    return result


def _word(name: Any) -> str:
    parts = name if isinstance(name, tuple) else (name,)
    return "_".join(str(part).replace(",", "").replace(" ", "_").replace("-", "_") for part in parts)
