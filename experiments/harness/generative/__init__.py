"""Data, training and figures that the experiments on generative models share."""
