"""Optimizers, schedules, normalization."""
