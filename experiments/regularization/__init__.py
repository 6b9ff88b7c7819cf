"""Regularization and generalization."""
