"""The command ``chat``: a dialogue with the trained model of a run folder, a turn a line."""

import sys
from pathlib import Path

from experiments.harness import catalogue, terminal
from experiments.harness.configuration import from_dict
from experiments.harness.errors import UsageError, preparing
from experiments.harness.migration import upgrade
from experiments.harness.run_folder import read_json, read_manifest
from jaxdl import train
from jaxdl.data.text import words


def main(arguments: list[str]) -> int:
    """Read turns from the terminal, and print the answers, until the end of the input.

    Raises:
        UsageError: there is no run folder of an experiment with dialogues.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UsageError("expected the path of one run folder, as in: chat runs/dialogue")
    directory = Path(arguments[0])
    manifest = read_manifest(directory)
    experiment = catalogue.load(manifest["experiment"])
    weights = directory / "weights.safetensors"
    if experiment.make_chat is None or not weights.is_file():
        raise UsageError(f"expected the finished run of an experiment with dialogues, got {directory}")
    with preparing():
        config = from_dict(experiment.default, upgrade(read_json(directory / "config.json"), experiment.default))
        config = config.smoke() if manifest.get("smoke") else config
        reply = experiment.make_chat(config, directory, train.weights.load(weights))
    console, turns = terminal.console(), []
    console.print("Write a turn and press Enter; an empty line begins a new dialogue, the end of the input ends it.")
    for line in sys.stdin:
        if not line.strip():
            turns = []
            continue
        turns.append(words(line.lower()))
        turns.append(reply(turns))
        console.print(" ".join(turns[-1]), highlight=False)
    return 0
