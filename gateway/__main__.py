"""Shell: `python -m gateway` is `tidewire`."""

import sys

from gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
