"""Objectives and samplers of generative models, over any network."""

__all__: list[str] = []
