"""What the experiments share: the command line, run folders, configuration, supervised training and figures."""
