"""Agents and search that the experiments on reinforcement learning share."""
