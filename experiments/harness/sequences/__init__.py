"""Settings, data, training and figures that the experiments on sequences share."""
