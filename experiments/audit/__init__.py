"""The audit of the textbook's worked examples: ``python -m experiments audit [--json FILE]``."""

from experiments.audit.report import main

__all__ = ["main"]
