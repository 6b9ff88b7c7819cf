"""The command ``compile``: its errors, its report and the file of ``--all``; no compiler for TPUs is needed."""

import importlib.util
import json

import pytest

from experiments.harness.command_line import main
from experiments.harness.commands import compiling
from jaxdl import models
from jaxdl.train.parallel import aot
from jaxdl.train.parallel.communication import Collective

REPORT = aot.Report(True, 2.0**31, 2.0**30, 2.0**30, 8e12, 1e9, [Collective("all-reduce", 2, 4 * 10**6)], 12.0)


def made(setting, report=REPORT):
    return {
        **compiling.dataclasses.asdict(setting),
        **report._asdict(),
        "collectives": [found._asdict() for found in report.collectives],
        "chips": 8,
        "memory": aot.CHIPS["v5e"].memory,
        "verdict": "fits",
        "scaling": compiling.predict(report, setting.topology, 8),
    }


def test_without_the_compiler_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["compile", "lenet5"]) == 2
    assert "jax[tpu]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "expected the name of a model"), (["lenet5", "--topology", "v9:2x2"], "got 'v9:2x2'")],
)
def test_errors_of_usage(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(aot, "check_installed", lambda: None)
    assert main(["compile", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_all_models_are_compiled_once_and_a_failure_is_a_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(aot, "check_installed", lambda: None)
    for name, value in aot.environment().items():
        monkeypatch.setenv(name, value)
    asked = []

    def examine(setting):
        asked.append(setting.model)
        if setting.model == "vgg13":
            raise RuntimeError("an operation that TPUs lack\nwith details")
        return made(setting)

    monkeypatch.setattr(compiling, "examine", examine)
    path = tmp_path / "compiled.jsonl"
    for flags in (["--quick"], []):
        assert main(["compile", "vgg1?", "--all", "--json", str(path), *flags]) == 0
    assert asked == list(models.list("vgg1?"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["model"] for line in lines] == asked
    table = capsys.readouterr().out
    assert "| `vgg11` | 8 | 2.00 | 1.00 | 1e+12 | all-reduce 4.0 | 12 (quick) | |" in table.replace("|  |", "| |")
    assert "RuntimeError: an operation that TPUs lack |" in table


def test_the_report_is_a_table_with_predictions():
    setting = compiling.Setting("gpt2", "v5e:2x4", "data=8", 16, 1024, "bfloat16", "replicated", {"scan_blocks": True})
    report = made(setting)
    assert [one["chips"] for one in report["scaling"]] == [8, 64, 256]
    small, large, torus = (one["communication_seconds"] for one in report["scaling"])
    assert small < large
    assert torus < large  # whose rings use half of the links
    assert compiling.table_of(report).row_count >= 10
