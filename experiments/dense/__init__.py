"""Dense prediction."""
