"""The command ``chat``: a dialogue with the trained model of a run folder, a turn a line."""

import sys
from pathlib import Path

from experiments.harness import catalogue, terminal
from experiments.harness.commands.finished import load_finished
from experiments.harness.errors import UsageError, preparing
from experiments.harness.run_folder import read_manifest
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
    if experiment.make_chat is None:
        raise UsageError(f"expected the run of an experiment with dialogues, got {directory}")
    config, variables = load_finished(directory, experiment, manifest)
    with preparing():
        reply = experiment.make_chat(config, directory, variables)
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
