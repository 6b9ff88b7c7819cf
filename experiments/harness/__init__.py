"""What the experiments share: the command line, run folders, configuration, training, claims and figures.

The folders hold what is of one chapter in the first place, by its name, and ``commands`` those of the command line.
"""
