"""What tests of the compiled part share."""

import subprocess
import sys

import pytest


@pytest.fixture
def run_python():
    """Run code in a process of its own, in a folder; what it prints."""

    def run(code, folder):
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout

    return run
