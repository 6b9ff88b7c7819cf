"""Settings, training and measures that the experiments on embeddings share."""
