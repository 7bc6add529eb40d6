"""A language model on the command line: which one, and what it will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyorder.cli._inputs import naming
from pyorder.cli._tables import RECORDS
from pyorder.cli._terminal import tell

if TYPE_CHECKING:
    from pyorder.data.dataset import Dataset
    from pyorder.models.language_model import LanguageModel
    from pyorder.orders.posets import Poset
    from pyorder.search import Strategy


def load_language_model(
    folder: Path | None, lora: int | None, *, data: Path | None, model: str | None, explores: bool = True
) -> LanguageModel | None:
    """The model that --language-model names, for records, in place of --model; None if it names none."""
    if folder is None:
        if lora is not None:
            raise ValueError("--lora: goes with --language-model")
        if not explores:
            raise ValueError("--built-in-explorer: goes with --language-model")
        return None
    if model is not None:
        raise ValueError("--language-model: stands in place of --model; give one of the two")
    if data is None or data.suffix not in RECORDS:
        raise ValueError(f"--language-model: goes with --data FILE, where that ends in {RECORDS[0]}")
    from pyorder.models.language_model import LanguageModel

    with naming("--language-model"):
        try:
            return LanguageModel(folder, lora=lora, explores=explores)
        except ImportError as error:
            raise ValueError(error) from None


def tell_model(model: LanguageModel | None, data: Dataset) -> None:
    """Say on standard error what training a language model takes; nothing of other models."""
    if model is not None:
        tell(model.describe(data))


def tell_search(strategy: Strategy, constraints: Poset, *, steps: int, rows: int, seeds: int) -> None:
    """Say on standard error what a search takes whose runs have so many steps, and so many rows to rank orders."""
    from pyorder.profiling.result import Cost

    pools = strategy.pools(constraints)
    cost = strategy.exploration_cost() + Cost(steps * len(pools) * seeds, rows * sum(pools) * seeds)
    tell(
        f"the search takes some {cost.training_steps:,} training steps, and scores some {cost.rows_scored:,} rows"
    )
