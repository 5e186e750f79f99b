"""``python -m mofa3d``."""

import sys

from mofa3d.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
