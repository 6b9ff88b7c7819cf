"""The programs of the pages "Your own" and "Reinforcement learning" run."""

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


def test_the_agent_of_reinforcement_learning_runs():
    blocks = re.findall(r"^```python\n(.*?)^```", (PAGE.parent / "reinforcement_learning.md").read_text(), re.M | re.S)
    names = {"__name__": "reinforcement_learning"}
    for block in blocks:
        exec(compile(block.replace("steps=100", "steps=2"), "reinforcement_learning.md", "exec"), names)
    assert len(names["history"][-1]["train/return"]) == 2
