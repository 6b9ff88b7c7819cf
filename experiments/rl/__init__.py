"""Reinforcement learning and planning."""
