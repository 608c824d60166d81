"""Entry point of `python3 dev/stand <verb>`."""

import sys
from pathlib import Path

# Run as a folder, this file is no package member; its siblings are imported as `stand.*`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stand.cli import main  # noqa: E402 - after the path it is found on

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
