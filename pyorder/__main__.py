"""The command `pyorder`, also as `python -m pyorder`."""

import sys


def run() -> int:
    """Run the command line of the process; the exit code. An interrupt may come as early as in the imports."""
    try:
        from pyorder.cli import main

        return main()
    except KeyboardInterrupt:
        print("pyorder: interrupted; nothing new was kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
