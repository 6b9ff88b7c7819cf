"""Recurrent networks and text."""
