"""The pages of the gallery and of the claims, made of ``_static/gallery`` whenever the site is built."""

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from docs import labels
from experiments.harness import catalogue

DOCS = Path(__file__).parent
RECORDS = DOCS / "_static" / "gallery"
CLAIMS = tomllib.loads((DOCS / "claims.toml").read_text())
THUMBNAIL = (480, 300)
Record = dict[str, Any]


def write() -> None:
    """Write the pages and thumbnails, and leave those alone that have not changed."""
    records = load()
    for name, record in records.items():
        _update(DOCS / "gallery" / f"{name}.md", page(record))
        _thumbnail(RECORDS / name / labels.thumbnail(name, record["pictures"]), DOCS / "gallery" / f"{name}.webp")
    for old in (DOCS / "gallery").iterdir():
        if old.stem not in records:
            old.unlink()
    _update(DOCS / "gallery.md", overview(records))
    _update(DOCS / "what_holds.md", claims_page(records))


def load() -> dict[str, Record]:
    """Load the records of all experiments, by name."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(RECORDS.glob("*/run.json"))}


def overview(records: dict[str, Record]) -> str:
    """Return the page of cards, a section for every chapter."""
    lines = [
        "# Gallery",
        "",
        f"{len(records)} experiments, each with its figures, its results beside the goals that were set, the command",
        "that repeats it, and a verdict for each claim that it tests: [](what_holds.md) lists those by subject.",
        "",
    ]
    for chapter, names in catalogue.chapters().items():
        shown = [name for name in names if name in records]
        if shown:
            heading = catalogue.title(chapter).rstrip(".")
            cards = [line for name in shown for line in card(records[name])]
            lines += [f"## {heading}", "", ":::::{grid} 1 2 3 3", ":gutter: 3", "", *cards, ":::::", ""]
    names = [name for members in catalogue.chapters().values() for name in members if name in records]
    lines += ["```{toctree}", ":hidden:", "", *(f"gallery/{name}" for name in names), "```", ""]
    return "\n".join(lines)


def card(record: Record) -> list[str]:
    """Return the card of an experiment: thumbnail, title, sentence, verdicts."""
    name = record["experiment"]
    sentence, _ = docstring(name)
    return [
        f"::::{{grid-item-card}} {labels.title(name)}",
        *card_options(record),
        "",
        sentence,
        "",
        ":::{card-footer}",
        " ".join(badges(record)) or "no claim, no goal",
        ":::",
        "::::",
        "",
    ]


def card_options(record: Record) -> list[str]:
    """Return the options of the card of an experiment: link and thumbnail."""
    name = record["experiment"]
    return [
        f":link: /gallery/{name}",
        ":link-type: doc",
        f":link-alt: {quoted(labels.title(name))}",
        f":img-top: /gallery/{name}.webp",
        f":img-alt: {quoted(labels.caption(name, labels.thumbnail(name, record['pictures'])))}",
        ":class-card: experiment",
    ]


def quoted(text: str) -> str:
    """Return the value of a directive's option; a plain one would end at a colon."""
    return json.dumps(text, ensure_ascii=False)


def badges(record: Record) -> list[str]:
    """Return the badges of an experiment: how many statements were reproduced, how many goals reached."""
    found = []
    if record["claims"]:
        held = sum(claim["verdict"] == "reproduced" for claim in record["claims"])
        kind = "yes" if held == len(record["claims"]) else "partly" if held else "no"
        found.append(f"[{held} of {len(record['claims'])} reproduced]{{.verdict .{kind}}}")
    goals = [met(key, record) for key in record["goal"] if key in record["result"]]
    if goals:
        kind = "yes" if all(goals) else "no"
        words = "goal reached" if all(goals) else "goal missed"
        found.append(f"[{words}]{{.verdict .{kind}}}")
    return found


def met(key: str, record: Record) -> bool:
    """Return whether a result reaches its goal, which is a largest value for a loss or an error, else a smallest."""
    value, goal = record["result"][key], record["goal"][key]
    return value <= goal if catalogue.less_is_better(key) else value >= goal


def docstring(name: str) -> tuple[str, str]:
    """Return the first sentence of an experiment's docstring, and its method without the commands."""
    sentence, *paragraphs = catalogue.header(name).split("\n\n")
    method = "\n\n".join(part for part in paragraphs if not part.startswith("    python"))
    return _markdown(sentence), _markdown(method)


def _markdown(text: str) -> str:
    """Return reStructuredText of docstrings as Markdown."""
    return text.replace("``", "`").replace("^2", "²")


def page(record: Record) -> str:
    """Return the page of an experiment."""
    name = record["experiment"]
    sentence, method = docstring(name)
    path = RECORDS / name / "notes.md"
    notes = path.read_text() if path.exists() else ""
    chapter = catalogue.title(catalogue.chapter_of(name)).rstrip(".")
    lines = [f"# {labels.title(name)}", "", f"{chapter} · `{name}`", "", f"**{sentence}**", ""]
    lines += [" ".join(badges(record)), "", "```console", f"$ {record['command']}", "```", ""]
    if method:
        lines += ["## Method", "", method, ""]
    if notes:
        lines += ["## Findings", "", re.sub(r"^\*\*Results\.\*\* ", "", notes.strip()), ""]
    lines += ["## Figures", ""]
    for picture in record["pictures"]:
        caption = labels.caption(name, picture)
        lines += [f"```{{figure}} ../_static/gallery/{name}/{picture}", f":alt: {quoted(caption)}"]
        lines += ["", caption, "```", ""]
    if record["claims"]:
        lines += ["## Claims", "", *claims_table(record), ""]
    return "\n".join([*lines, *goals_table(record), *results_tables(record), *circumstances(record)])


def claims_table(record: Record) -> list[str]:
    """Return the table of the measured statements of an experiment."""
    lines = ["| claim | statement | measured | mean [95 % interval] | runs | verdict |", "|---|---|---|---|---|---|"]
    for row in record["claims"]:
        where = f"[{row['claim']}](#claim-{row['claim']})"
        lines.append(_row([where, *statement(row)]))
    return lines


def statement(row: dict[str, Any]) -> list[str]:
    """Return the cells of a measured statement."""
    low, high = row["interval"]
    value = f"{row['value']:.3g} [{low:.3g}, {high:.3g}]".replace("-", "−")
    runs = "" if row["seeds"] is None else str(row["seeds"])
    kind = "yes" if row["verdict"] == "reproduced" else "no"
    return [
        _sentence(row["statement"]),
        row["measure"].replace("log10", "log₁₀"),
        value,
        runs,
        f"[{row['verdict']}]{{.verdict .{kind}}}",
    ]


def _sentence(text: str) -> str:
    """Return a text that begins with a capital letter, unless it begins with a symbol."""
    return text[0].upper() + text[1:] if text[0].isascii() else text


def goals_table(record: Record) -> list[str]:
    """Return the table of the goals that were set before the run."""
    rows = []
    for key, goal in record["goal"].items():
        if key in record["result"]:
            text, unit = labels.label(record["experiment"], key)
            kind, words = ("yes", "reached") if met(key, record) else ("no", "missed")
            value = labels.number(record["result"][key], unit)
            sign = "at most" if catalogue.less_is_better(key) else "at least"
            bound = f"{sign}\N{NO-BREAK SPACE}{labels.number(goal, unit)}"
            rows.append(f"| {_unit(text, unit)} | {value} | {bound} | [{words}]{{.verdict .{kind}}} |")
    head = ["## Goals", "", "| quantity | reached | goal | verdict |", "|---|---:|---:|---|"]
    return [*head, *rows, ""] if rows else []


def results_tables(record: Record) -> list[str]:
    """Return the tables of all results."""
    name, result = record["experiment"], record["result"]
    grids, rest = labels.grids(list(result))
    lines = ["## Results", ""]
    for grid in grids:
        by_head = len(grid.heads) >= len(grid.tails)
        rows, columns = (grid.heads, grid.tails) if by_head else (grid.tails, grid.heads)
        heads = [labels.label(name, key) for key in columns]
        lines += [_row(["quantity", *(_unit(*head) for head in heads)]), _row(["---", *(["---:"] * len(columns))])]
        for row in rows:
            text, unit = labels.label(name, row)
            keys = [f"{row}_{column}" if by_head else f"{column}_{row}" for column in columns]
            units = [unit or head.unit for head in heads]
            cells = [labels.number(result[key], own) for key, own in zip(keys, units, strict=True)]
            lines.append(_row([_unit(text, unit), *cells]))
        lines.append("")
    if rest:
        lines += ["| quantity | value |", "|---|---:|"]
        for key in rest:
            text, unit = labels.label(name, key)
            lines.append(_row([_unit(text, unit), labels.number(result[key], unit)]))
        lines.append("")
    return lines


def circumstances(record: Record) -> list[str]:
    """Return how the run was made."""
    versions = record["versions"]
    rows = {"command": f"`{record['command']}`", "seed": str(record["seed"]), "date": record["date"]}
    rows["time"] = "not recorded" if record["wall_seconds"] is None else duration(record["wall_seconds"])
    if record["devices"]:
        rows["devices"] = ", ".join(record["devices"])
    if versions:
        rows["version"] = f"jaxdl {versions['jaxdl']}, commit `{record['git_commit'][:7]}`"
        rows["with"] = ", ".join(f"{name} {versions[name]}" for name in ("jax", "flax", "optax", "numpy"))
    table = ["| record | value |", "|---|---|", *(_row(row) for row in rows.items())]
    return ["## This run", "", *table, ""]


def duration(seconds: float) -> str:
    """Return a duration in words.

    >>> duration(47.3), duration(153.21)
    ('47 s', '2 min 33 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _unit(text: str, unit: str) -> str:
    return f"{_sentence(text)} ({unit})" if unit else _sentence(text)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def measured(records: dict[str, Record]) -> dict[int, list[dict[str, Any]]]:
    """Group the measured statements of all experiments by the number of their claim."""
    rows = [row | {"experiment": name} for name, record in records.items() for row in record["claims"]]
    return {claim["number"]: [row for row in rows if row["claim"] == claim["number"]] for claim in CLAIMS["claim"]}


def course(records: dict[str, Record]) -> dict[str, list[str]]:
    """Return the names of the experiments that each chapter of the course ends with."""
    place, found = labels.WORDS["course"], {}
    for chapter, names in catalogue.chapters().items():
        for name in names:
            if name in records:
                found.setdefault(place.get(name, place[chapter]), []).append(name)
    return found


def small_cards(names: list[str], records: dict[str, Record]) -> str:
    """Return a grid of thumbnails and titles of experiments."""
    lines = [":::::{grid} 2 3 4 4", ":gutter: 2", ""]
    for name in names:
        lines += [f"::::{{grid-item-card}} {labels.title(name)}", *card_options(records[name]), "::::", ""]
    return "\n".join([*lines, ":::::"])


def substitutions() -> dict[str, str]:
    """Return what pages insert by name.

    ``{{ claim7 }}`` is a claim with its verdict,
    ``{{ experiments_neuron }}`` the experiments of a chapter of the course.
    """
    records = load()
    found = measured(records)
    lines = {f"experiments_{chapter}": small_cards(names, records) for chapter, names in course(records).items()}
    for claim in CLAIMS["claim"]:
        kind = overall(found[claim["number"]])
        link = f"[claim {claim['number']}](#claim-{claim['number']})"
        lines[f"claim{claim['number']}"] = f"{claim['statement']} [{KINDS[kind]}]{{.verdict .{kind}}}, {link}"
    return lines


def claims_page(records: dict[str, Record]) -> str:
    """Return the list of the claims with the verdict of each."""
    found = measured(records)
    verdicts = {number: overall(rows) for number, rows in found.items()}
    lines = [CLAIMS["introduction"].strip(), "", "| verdict | claims |", "|---|---|"]
    for kind, words in KINDS.items():
        numbers = [f"[{n}](#claim-{n})" for n, verdict in verdicts.items() if verdict == kind]
        lines.append(f"| [{words}]{{.verdict .{kind}}} | {len(numbers)}: {', '.join(numbers)} |")
    for subject in dict.fromkeys(claim["subject"] for claim in CLAIMS["claim"]):
        lines += ["", f"## {subject}", ""]
        for claim in CLAIMS["claim"]:
            if claim["subject"] == subject:
                number = claim["number"]
                kind = verdicts[number]
                lines += [f"(claim-{number})=", "", f"### {number}. {claim['statement']}", ""]
                lines += [f"[{KINDS[kind]}]{{.verdict .{kind}}} {claim.get('remark', '')}".strip(), ""]
                lines += _statements(found[number])
    return "\n".join(lines)


KINDS = {"yes": "reproduced", "partly": "in part", "no": "not reproduced", "open": "not measured"}


def overall(rows: list[dict[str, Any]]) -> str:
    """Return the kind of verdict of a claim from those of its statements."""
    held = sum(row["verdict"] == "reproduced" for row in rows)
    return "open" if not rows else "yes" if held == len(rows) else "partly" if held else "no"


def _statements(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of the statements of a claim, with links to the experiments."""
    if not rows:
        return []
    lines = []
    names = ", ".join(f"[{labels.title(n)}](gallery/{n}.md)" for n in dict.fromkeys(row["experiment"] for row in rows))
    lines += [f"Experiment: {names}", ""]
    lines += ["| statement | measured | mean [95 % interval] | runs | verdict |", "|---|---|---|---|---|"]
    return [*lines, *(_row(statement(row)) for row in rows), ""]


def _update(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    text = text.rstrip() + "\n"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _thumbnail(source: Path, target: Path) -> None:
    """Write a thumbnail of one size: the figure on a white ground."""
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return
    image = Image.open(source).convert("RGB")
    image.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    card = Image.new("RGB", THUMBNAIL, "white")
    card.paste(image, ((THUMBNAIL[0] - image.width) // 2, (THUMBNAIL[1] - image.height) // 2))
    card.save(target, quality=85)
