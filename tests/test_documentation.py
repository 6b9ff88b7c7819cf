"""The program of the page "Your own" runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "your_own.md"


def test_the_blocks_of_your_own_are_one_program(monkeypatch):
    from jaxdl.models import registry

    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert len(blocks) >= 8
    names = {"__name__": "your_own"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["state"].average is not None
    assert min(names["results"].values()) < max(names["results"].values())
