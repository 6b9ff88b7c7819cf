"""The command line of the library: ``python -m jaxdl doctor | models [PATTERN] | inspect NAME``.

Each command imports its dependencies itself, so that ``doctor`` runs even if a package is missing.
"""

import os
import sys

from rich.console import Console
from rich.table import Table

from jaxdl import doctor

USAGE = """usage: python -m jaxdl COMMAND

  doctor             check devices, versions, memory and caches, and suggest fixes
  models [PATTERN]   list the registered models, or those that match a shell pattern
  inspect NAME       show a model layer by layer: shapes, parameters, FLOPs
"""

WIDTH = 160
"""Columns of a table that is written into a file."""


def main(arguments: list[str]) -> int:
    """Run a command; return the exit status: 2 for invalid arguments, 1 if the doctor finds an error, else 0."""
    match arguments:
        case [] | ["-h" | "--help"]:
            sys.stdout.write(USAGE)
            return 0
        case ["doctor"]:
            return show_findings(Console(markup=False, emoji=False))
        case ["models", *rest] if len(rest) <= 1:
            from jaxdl import models

            names = models.list(*rest)
            width = max(map(len, names), default=0)
            sys.stdout.write("".join(f"{name:{width}}  {models.description(name)}\n" for name in names))
            return 0
        case ["inspect", name]:
            try:
                inspect(name, Console(markup=False, emoji=False))
            except ValueError as error:
                sys.stderr.write(f"error: {error}\n")
                return 2
            return 0
    sys.stderr.write(f"error: expected doctor, models [PATTERN] or inspect NAME, got {' '.join(arguments)!r}\n")
    return 2


def show_findings(console: Console) -> int:
    """Print the doctor's findings; return 1 if any of them is an error, else 0."""
    table = Table(title="jaxdl doctor")
    for column in ("", "subject", "found", "fix"):
        table.add_column(column)
    findings = doctor.examine()
    for finding in findings:
        table.add_row(finding.verdict, finding.subject, finding.found, finding.fix)
    console.print(table)
    return int(any(finding.verdict == "wrong" for finding in findings))


def inspect(name: str, console: Console) -> None:
    """Print a model layer by layer, by abstract evaluation: shapes are traced, FLOPs estimated by the compiler."""
    import jax
    import jax.numpy as jnp
    from flax import linen

    from jaxdl import models

    model = models.create(name)
    x = jnp.zeros((1, *models.input_shape(name)), models.input_dtype(name))
    fits = console.is_terminal or "COLUMNS" in os.environ
    page = {"width": console.width if fits else WIDTH, "force_terminal": console.is_terminal}
    table = linen.summary.tabulate(model, jax.random.key(0), compute_flops=True, console_kwargs=page)(x)
    sys.stdout.write(table.strip("\n") + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
