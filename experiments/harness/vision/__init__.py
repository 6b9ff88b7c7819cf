"""Training and measures that the experiments on vision share."""
