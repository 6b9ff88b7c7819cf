"""Runs killed and files damaged, to see that nothing is lost: ``python -m experiments stress [--short]``."""

from experiments.stress.report import main

__all__ = ["main"]
