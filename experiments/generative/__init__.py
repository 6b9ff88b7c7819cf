"""Autoencoders and generative models."""
