"""The worked numbers of the lecture notes, computed again: ``python -m experiments audit [--json FILE]``."""

from experiments.audit.report import main

__all__ = ["main"]
