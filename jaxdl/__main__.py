"""The command line of the library: ``python -m jaxdl doctor | models [PATTERN] | inspect NAME | predict NAME ...``.

Each command imports its dependencies itself, so that ``doctor`` runs even if a package is missing.
"""

import os
import sys

from rich.console import Console
from rich.table import Table

from jaxdl import __version__, doctor

USAGE = """usage: python -m jaxdl COMMAND

  doctor             check devices, versions, memory and caches, and suggest fixes
  models [PATTERN]   list the registered models, or those that match a shell pattern
  inspect NAME       show a model layer by layer: shapes, parameters, FLOPs
  predict NAME [--weights FILE] IMAGE...
                     name the five most probable classes of images, by published weights for ImageNet
  --version          print the version
"""

WIDTH = 160
"""Columns of a table that is written into a file."""


def main(arguments: list[str]) -> int:
    """Run a command; return the exit status: 2 for invalid arguments, 1 if the doctor finds an error, else 0."""
    match arguments:
        case [] | ["-h" | "--help" | "--version"]:
            sys.stdout.write(f"jaxdl {__version__}\n" if arguments == ["--version"] else USAGE)
            return 0
        case ["doctor"]:
            return show_findings(Console(markup=False, emoji=False))
        case ["models", *rest] if len(rest) <= 1:
            return list_models(*rest)
        case ["inspect", name]:
            return inspect(name, Console(markup=False, emoji=False))
        case ["predict", name, *rest] if rest and rest != ["--weights"] and len(rest[2:]) >= (rest[0] == "--weights"):
            return predict(name, rest[1], rest[2:]) if rest[0] == "--weights" else predict(name, None, rest)
    expected = "doctor, models [PATTERN], inspect NAME or predict NAME IMAGE"
    sys.stderr.write(f"error: expected {expected}, got {' '.join(arguments)!r}\n")
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


def list_models(pattern: str = "*") -> int:
    """Print the names that match a pattern, with their descriptions."""
    from jaxdl import models

    names = models.list(pattern)
    width = max(map(len, names), default=0)
    sys.stdout.write("".join(f"{name:{width}}  {models.description(name)}\n" for name in names))
    return 0


def inspect(name: str, console: Console) -> int:
    """Print a model layer by layer, by abstract evaluation: shapes are traced, FLOPs estimated by the compiler."""
    import jax
    import jax.numpy as jnp
    from flax import linen

    from jaxdl import models

    try:
        model = models.create(name)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    x = jnp.zeros((1, *models.input_shape(name)), models.input_dtype(name))
    fits = console.is_terminal or "COLUMNS" in os.environ
    page = {"width": console.width if fits else WIDTH, "force_terminal": console.is_terminal}
    table = linen.summary.tabulate(model, jax.random.key(0), compute_flops=True, console_kwargs=page)(x)
    sys.stdout.write(table.strip("\n") + "\n")
    return 0


def predict(name: str, file: str | None, images: list[str]) -> int:
    """Print the five most probable classes of every image; return the exit status."""
    import numpy as np

    from jaxdl import models, pretrained, train

    try:
        published = pretrained.find_published(name)
        path = file or pretrained.download(name)
        x = np.stack([pretrained.prepare_image(published, image) for image in images])
        model = models.create(name, **published.fields)
        variables = pretrained.load(name, path, published.source, **published.fields)
    except (OSError, ValueError, ImportError) as error:
        sys.stderr.write(f"error: {str(error).splitlines()[0]}\n")
        return 2
    logits = train.predict(lambda variables, x: model.apply(variables, x, train=False), variables, x)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    for image, row in zip(images, probabilities, strict=True):
        sys.stdout.write(f"{image}\n")
        for label in np.argsort(-row, kind="stable")[:5]:
            sys.stdout.write(f"  {row[label]:.4f}  {pretrained.class_names()[label]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
