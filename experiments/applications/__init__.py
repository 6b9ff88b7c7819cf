"""Applications of encoders and decoders."""
