"""Names of weights, one family of models a file."""
