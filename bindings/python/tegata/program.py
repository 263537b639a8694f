"""The program `tegata`, which the package holds."""

import os
import sys
from pathlib import Path


def path() -> str:
    """The program's path: that of the variable TEGATA_PROGRAM, else the package's own."""
    chosen = os.environ.get("TEGATA_PROGRAM")
    if chosen:
        return chosen
    own = Path(__file__).parent / "_program" / "tegata"
    if not own.exists():
        raise FileNotFoundError(
            f"this build of the package has no program at {own}; "
            "set TEGATA_PROGRAM to the path of `tegata`"
        )
    return str(own)


def main() -> None:
    """Becomes the program, with this process's arguments."""
    program = path()
    os.execv(program, [program, *sys.argv[1:]])
