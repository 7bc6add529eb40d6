"""What tests of searches share."""

import pytest

from pyorder.search import laboratory


@pytest.fixture
def explorers(monkeypatch):
    """The explorers that searches make."""
    made = []

    class Spy(laboratory.ResumableExplorer):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(laboratory, "ResumableExplorer", Spy)
    return made
