"""The words of the gallery, the verdicts, the notebooks, and the checker of the built site."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))
pytest.importorskip("nbformat", reason="nbformat is not installed: the pages of the site are not tested")

from docs import check_site, gallery_pages, labels, make_gallery, notebooks  # noqa: E402
from experiments.harness import catalogue  # noqa: E402

RECORDS = gallery_pages.load()


def test_every_record_has_its_pictures_and_a_page_without_raw_keys():
    assert len(RECORDS) >= 66
    for name, record in RECORDS.items():
        assert record["experiment"] == name
        assert all((gallery_pages.RECORDS / name / picture).exists() for picture in record["pictures"])
        page = gallery_pages.page(record)
        tables = "".join(line for line in page.splitlines() if line.startswith("|") and "`" not in line)
        assert not [key for key in record["result"] if "_" in key and key in tables]
        assert all(labels.caption(name, picture) in page for picture in record["pictures"])


def test_every_figure_of_every_experiment_has_a_caption():
    captions = labels.WORDS["captions"]
    for name in sorted(set(catalogue.names()) - set(catalogue.PRESETS)):
        own = [captions.get(each, {}) for each in (name, *catalogue.presets_of(name))]
        known = set(captions["all"]).union(*own)
        drawn = set(re.findall(r'\.figure\(\s*"(\w+)"', catalogue.source(name)))
        assert not drawn - known, name


def test_results_that_form_a_grid_are_one_table():
    keys = [f"{row}_{column}" for row in ("plain", "tall_one") for column in ("a", "b_c", "d")] + ["loss", "other_x"]
    grids, rest = labels.grids(keys)
    assert grids == [labels.Grid(["plain", "tall_one"], ["a", "b_c", "d"])]
    assert rest == ["loss", "other_x"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.98765, "%", "98.77"),
        (61706, "", "61,706"),
        (1.5e-5, "", "1.50\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}10<sup>−5</sup>"),
        (float("inf"), "", "never"),
    ],
)
def test_numbers_are_written_for_readers(value, unit, text):
    assert labels.number(value, unit) == text


def test_every_claim_that_an_experiment_tests_is_listed():
    listed = {claim["number"] for claim in gallery_pages.CLAIMS["claim"]}
    assert {row["claim"] for record in RECORDS.values() for row in record["claims"]} <= listed
    assert set(range(1, 41)) <= listed
    page = gallery_pages.claims_page(RECORDS)
    assert all(f"(claim-{number})=" in page for number in listed)


def test_a_verdict_joins_those_of_the_statements():
    rows = [{"verdict": "reproduced"}, {"verdict": "not reproduced"}]
    kinds = [gallery_pages.overall(chosen) for chosen in ([], rows[:1], rows, rows[1:])]
    assert kinds == ["open", "yes", "partly", "no"]


def test_a_run_is_added_without_loss_of_colours(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(make_gallery, "PICTURES", tmp_path / "gallery")
    colours = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "maps.png")
    manifest = RECORDS["xor"] | {
        "command": "python -m experiments run xor --out /somewhere/xor --seed 3",
        "started": "2026-01-02T03:04:05+00:00",
        "pictures": ["maps.png"],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    make_gallery.add(tmp_path)
    record = json.loads((tmp_path / "gallery" / "xor" / "run.json").read_text())
    assert record["command"] == "python -m experiments run xor --seed 3"
    assert record["date"] == "2026-01-02"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "gallery" / "xor" / "maps.png")), colours)


@pytest.mark.parametrize(
    ("largest", "size", "mode"),
    [(6500, (50, 40), "RGB"), (5000, (40, 32), "RGB"), (3500, (50, 40), "P"), (0, (40, 32), "P")],
)
def test_a_large_figure_becomes_narrower_or_gets_a_palette(largest, size, mode, tmp_path, monkeypatch):
    colours = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    stored, length = stored_picture(colours, largest, tmp_path, monkeypatch)
    assert (stored.size, stored.mode) == (size, mode)
    assert length <= largest or largest == 0


def test_a_large_figure_of_flat_areas_keeps_its_width(tmp_path, monkeypatch):
    tiles = np.random.default_rng(0).integers(0, 256, (8, 60, 3), dtype=np.uint8)
    colours = tiles.repeat(6, axis=0)
    stored, _ = stored_picture(colours, 2500, tmp_path, monkeypatch)
    np.testing.assert_array_equal(np.asarray(stored), colours)


def stored_picture(colours, largest, folder, monkeypatch):
    """The stored copy of a figure, and the bytes of its file, if the widths are 50 and 40."""
    from PIL import Image

    monkeypatch.setattr(make_gallery, "WIDTHS", (50, 40))
    monkeypatch.setattr(make_gallery, "LARGEST", largest)
    Image.fromarray(colours).save(folder / "source.png")
    make_gallery.copy_picture(folder / "source.png", folder / "stored.png")
    with Image.open(folder / "stored.png") as stored:
        stored.load()
    return stored, (folder / "stored.png").stat().st_size


def test_a_notebook_has_the_cells_of_its_page_and_no_directives():
    for page in sorted((ROOT / "docs").glob("course/*.md")):
        text = page.read_text()
        if text.startswith("---"):
            notebook = notebooks.convert(text, gallery_pages.substitutions())
            cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
            assert len(cells) == text.count("```{code-cell}")
            for cell in cells:
                compile(cell.source, str(page), "exec")
            prose = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
            assert "{figure}" not in prose
            assert "{{" not in prose


def test_every_experiment_is_shown_in_one_chapter_of_the_course():
    shown = gallery_pages.course(RECORDS)
    assert sorted(name for names in shown.values() for name in names) == sorted(RECORDS)
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "course").glob("*.md") if page.stem != "index"}
    assert set(shown) == set(pages)
    assert all(f"{{{{ experiments_{chapter} }}}}" in pages[chapter] for chapter in shown)


def test_a_notebook_lists_the_experiments_of_its_chapter():
    cards = {"experiments_neuron": gallery_pages.small_cards(["xor", "hopfield"], RECORDS)}
    listed = notebooks.plain("## Experiments\n\n{{ experiments_neuron }}\n\n: a definition", cards).split("\n")
    titles = [f"- {labels.title(name)}" for name in ("xor", "hopfield")]
    assert [line for line in listed if line] == ["## Experiments", *titles, ": a definition"]


def test_the_checker_finds_dead_links_anchors_and_mute_images(tmp_path):
    (tmp_path / "a.html").write_text('<h1 id="top"></h1><a href="b.html#x">b</a><a href="a.html#top">a</a>')
    (tmp_path / "b.html").write_text('<img src="c.png"><a href="https://example.org/no">no</a>')
    assert check_site.check(tmp_path) == [
        "a.html: b.html#x: no such anchor",
        "b.html: an image without alt, c.png",
        "b.html: c.png: no such file",
    ]
