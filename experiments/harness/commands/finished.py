"""The settings and the trained model of the folder of a finished run."""

from pathlib import Path
from typing import Any

from experiments.harness.catalogue import Experiment
from experiments.harness.configuration import Config, from_dict
from experiments.harness.errors import UsageError, preparing
from experiments.harness.migration import upgrade
from experiments.harness.run_folder import read_json
from jaxdl import train
from jaxdl.typing import PyTree


def load_finished(directory: Path, experiment: Experiment, manifest: dict[str, Any]) -> tuple[Config, PyTree]:
    """Read the settings of a run of an experiment, and its variables.

    Raises:
        UsageError: the run has no weights, or a file is damaged.
    """
    weights = directory / "weights.safetensors"
    if not weights.is_file():
        raise UsageError(f"expected a finished run, got {directory}, which has no {weights.name}")
    with preparing():
        config = from_dict(experiment.default, upgrade(read_json(directory / "config.json"), experiment.default))
        return config.smoke() if manifest.get("smoke") else config, train.weights.load(weights)
