"""Runs killed and files damaged, to see that nothing is lost: ``python -m experiments torture [--short]``."""

from experiments.torture.report import main

__all__ = ["main"]
