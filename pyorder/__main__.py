"""`python -m pyorder` is the command `pyorder`."""

import sys

from pyorder.cli import main

sys.exit(main())
