"""The command line: ``python -m experiments COMMAND``; without a command it lists them."""

import sys

from experiments.harness.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
