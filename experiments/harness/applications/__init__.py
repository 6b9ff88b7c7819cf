"""Data, training and scores that the experiments on applications share."""
