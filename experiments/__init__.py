"""Experiments: one short file each, run by one command line, ``python -m experiments``."""
