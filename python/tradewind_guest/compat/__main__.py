"""``python -m tradewind_guest.compat FILE``: run a file that tests its own DAG (``dag.test()`` at its end)."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from tradewind_guest.compat import testing


def main() -> None:
    """Run the file named on the command line with the layer in force."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tradewind_guest.compat FILE [ARGUMENT...]")
    file = Path(sys.argv[1])
    if not file.is_file():
        sys.exit(f"{file}: no such file")
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(file.resolve().parent))
    testing.start()
    runpy.run_path(str(file), run_name="__main__")


main()
