"""A stress test of checkpoints: killed runs and damaged files, ``python -m experiments stress [--short]``."""

from experiments.stress.report import main

__all__ = ["main"]
