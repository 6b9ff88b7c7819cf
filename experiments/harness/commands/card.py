"""``python -m experiments card RUN``: a model card in Markdown, from the manifest of a run (Mitchell et al., 2019)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.harness import catalogue, terminal
from experiments.harness.errors import UsageError, check_writable
from experiments.harness.run_folder import read_json, read_manifest

MISSING = "The experiment documents nothing here."
MISSING_LIMITS = (
    "The results are those of one data set; other data are not measured.",
    "Groups of examples are not measured separately.",
)


def main(arguments: list[str]) -> int:
    """Write the card of a run folder: ``card RUN [--out FILE]``."""
    if len(arguments) not in (1, 3) or (len(arguments) == 3 and arguments[1] != "--out"):
        raise UsageError(f"expected card RUN [--out FILE], got {' '.join(arguments)!r}")
    directory = Path(arguments[0])
    path = Path(arguments[2]) if len(arguments) == 3 else directory / "CARD.md"
    manifest = read_manifest(directory)
    config = read_json(directory / "config.json")
    check_writable(path)
    try:
        path.write_text("\n".join(lines(manifest, config)) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    terminal.console().print(f"model card: {path}", highlight=False)
    return 0


def lines(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the card."""
    name, documented = manifest["experiment"], manifest.get("documentation") or {}
    yield f"# {name}"
    yield ""
    if manifest.get("smoke"):
        yield from ("**A smoke run: its numbers mean nothing.**", "")
    if manifest["status"] != "finished":
        yield from (f"**The run is not finished: {manifest['status']}.**", "")
    yield from section("Model", [method(name)])
    yield from section("Intended use", [documented.get("use", MISSING)])
    yield from section("Data", [documented.get("data", MISSING)])
    yield from section("Results", [*table(("measure", "value"), results(manifest["result"]))])
    claims = manifest.get("claims") or []
    if claims:
        yield from section("Claims, with 95 % intervals over the runs", [*map(claim, claims)])
    for rule, measures in (documented.get("groups") or {}).items():
        rows = [(measure, *(f"{value:.3f}" for value in values)) for measure, values in measures.items()]
        yield from section(f"Groups: {rule}", [*table(("measure", "mean", "low", "high"), rows)])
    yield from section("Limits", [f"- {limit}" for limit in documented.get("limits", MISSING_LIMITS)])
    yield from section("Settings", [*table(("setting", "value"), [(key, str(value)) for key, value in config.items()])])
    yield from section("Reproduction", [*provenance(manifest)])
    for picture in manifest.get("pictures") or []:
        yield f"![{picture}]({picture})"


def section(title: str, body: list[str]) -> list[str]:
    """Return the lines of a section."""
    return [f"## {title}", "", *body, ""]


def method(name: str) -> str:
    """Return the method of an experiment, from its docstring; that of one which is no more is missing."""
    if name not in catalogue.names():
        return MISSING
    paragraphs = catalogue.header(name).split("\n\n")
    return "\n\n".join(part for part in paragraphs if not part.startswith("    python")).replace("``", "`")


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def results(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the results."""
    return [(name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in result.items()]


def claim(row: Mapping[str, Any]) -> str:
    """Return the line of a judged claim."""
    low, high = row["interval"]
    measured = f"{row['value']:.3g} [{low:.3g}, {high:.3g}], {row['seeds']} runs"
    return f"- {row['statement']}: {row['measure']} {measured}: {row['verdict']}."


def provenance(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield the command, the versions, the devices and the durations."""
    yield from (f"    {manifest.get('command')}", "")
    for name in ("seed", "started", "wall_seconds", "git_commit", "python", "platform", "devices"):
        yield f"- {name}: {manifest.get(name)}"
    versions = manifest.get("versions") or {}
    yield "- versions: " + ", ".join(f"{package} {version}" for package, version in versions.items() if version)
