"""Run the command line with ``python -m memprog``."""

import sys

from memprog.cli import main

if __name__ == "__main__":
    sys.exit(main())
