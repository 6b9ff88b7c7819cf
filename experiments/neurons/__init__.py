"""Neurons and small networks."""
