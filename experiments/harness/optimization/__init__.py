"""Data and figures that the experiments on optimization share."""
