"""Networks, data and figures that the experiments on interpretation share."""
