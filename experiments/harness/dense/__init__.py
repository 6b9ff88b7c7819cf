"""Data, networks and figures that the experiments on dense predictions share."""
