"""The command line: ``python -m experiments list | run NAME | show RUN | bench NAME``."""

import sys

from experiments.harness.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
