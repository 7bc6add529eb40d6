"""A question, three intermediate results, an answer, and two fields that nothing depends on.

`python benchmarks/reasoning.py STUDY ...`, with the studies below; a cell is a search on 20,000 records, whose
keys were shuffled in secret, and final trainings that are alike but for the order: the one found, the answer last,
and the answer first, the other keys at random. Judged by how often the answer is right when the model writes all
fields of a test record itself. Rows go to docs/results/reasoning.jsonl, finished cells are skipped;
`python benchmarks/reasoning.py table` prints what is there.

- own: the built-in models; `base` is trained for 1,000 steps at a learning rate of 0.003
- gpt2: the same of a GPT-2 of two layers, 64 wide, with random weights, over characters, that ranks what the
  built-in explorer leaves; it is trained for 1,500 steps of 64 records
- explore: that GPT-2 explores as well, for 20 minutes, and is trained in no order

What is wanted: the order found at least as good as the answer last, and better than the answer first.
"""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from study import read_rows, run_named

import pyorder
from pyorder.search import Budget, Precedence, discover_shuffled

ROWS = {"train": 20_000, "validation": 1_000, "test": 2_000}
STUDIES = {
    name: [{"study": name, "seed": seed} for seed in range(seeds)]
    for name, seeds in (("own", 5), ("gpt2", 3), ("explore", 1))
}
NAMES = ("Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal")
COLOURS = ("red", "green", "blue", "grey")


def record(rng: np.random.Generator) -> dict[str, str]:
    """A question of a name and five digits, about apples: how many, what they cost, what is left; and a rest."""
    first, second, price, gift, friends = (int(number) for number in rng.integers(1, 10, 5))
    apples = first + second
    cost = apples * price % 20
    left = (cost + gift) % 20
    return {
        "question": f"{NAMES[rng.integers(len(NAMES))]} {first} {second} {price} {gift} {friends}",
        "apples": str(apples),
        "cost": str(cost),
        "left": str(left),
        "answer": str(left * friends % 20),
        "colour": COLOURS[rng.integers(len(COLOURS))],
        "code": "".join(rng.choice(list(string.ascii_lowercase), 2)),
    }


class Characters:
    """A tokenizer whose tokens are the printable characters of ASCII."""

    def encode(self, text: str) -> list[int]:
        """Numbers of characters."""
        return list(text.encode("ascii"))

    def decode(self, tokens: list[int]) -> str:
        """Characters of numbers."""
        return bytes(tokens).decode("ascii")


def data(seed: int) -> list[pyorder.Dataset]:
    """Splits of records with keys in a random sequence; no two have the same numbers in their questions."""
    rng = np.random.default_rng([seed, 97])
    known: dict[str, dict[str, str]] = {}
    while len(known) < sum(ROWS.values()):
        made = record(rng)
        known.setdefault(made["question"].partition(" ")[2], made)
    keys = rng.permutation([key for key in made if key != "question"]).tolist()
    whole = pyorder.Dataset.from_records(
        list(known.values()), inputs=["question"], targets=keys, tokenizer=Characters()
    )
    stops = np.cumsum(list(ROWS.values())).tolist()
    return [whole.select(range(stop - rows, stop)) for stop, rows in zip(stops, ROWS.values(), strict=True)]


def language_model(*, explores: bool) -> pyorder.LanguageModel:
    from transformers import GPT2Config

    config = GPT2Config(
        vocab_size=128, n_embd=64, n_layer=2, n_head=2, n_positions=192, bos_token_id=0, eos_token_id=0
    )
    return pyorder.LanguageModel(config, tokenizer=Characters(), explores=explores)


def answers(fitted: pyorder.Fitted, test: pyorder.Dataset) -> float:
    """Share of records whose answer is right when every field is written by the model."""
    written, wanted = test.to_records(fitted.predict(test.inputs)), test.to_records()
    return float(np.mean([mine["answer"] == row["answer"] for mine, row in zip(written, wanted, strict=True)]))


def measure(study: str, seed: int) -> dict[str, Any]:
    train, validation, test = data(seed)
    recipe: dict[str, Any] = {"learning_rate": 3e-3}
    asked: dict[str, Any] = {}
    if study != "own":
        recipe |= {"model": language_model(explores=study == "explore"), "batch_size": 64}
        asked = recipe
    if study == "explore":
        rounds = replace(Precedence().recipe, batch_size=64, learning_rate=3e-3)
        asked = {**recipe, "strategy": Precedence(recipe=rounds), "budget": Budget(seconds=1_200)}
    found = discover_shuffled(train, validation=validation, seed=seed, **asked)
    orders = {} if study == "explore" else compared(train, found.order, seed)
    steps = 1_000 if study == "own" else 1_500
    fits = {
        name: pyorder.fit(train, order, test=test, seed=1000 + seed, steps=steps, **recipe)
        for name, order in orders.items()
    }
    assert found.exploration is not None
    return {
        "order": list(found.names),
        "verdict": found.verdict.value,
        "edges": [list(edge) for edge in found.edges()],
        "answers": {name: answers(fitted, test) for name, fitted in fits.items()},
        "row_loss": {name: fitted.row_loss for name, fitted in fits.items()},
        "fit_seconds": {name: fitted.seconds for name, fitted in fits.items()},
        "seconds": found.seconds,
        "training_steps": found.exploration.rounds[-1].training_steps,
        "threads": torch.get_num_threads(),
    }


def compared(train: pyorder.Dataset, order: npt.NDArray[np.int64], seed: int) -> dict[str, npt.NDArray[np.int64]]:
    """The order found, and the answer last and first, the other fields at random."""
    answer = train.names.index("answer")
    others = np.random.default_rng([seed, 98]).permutation([s for s in range(train.target_length) if s != answer])
    return {
        "found": order,
        "answer last": np.append(others, answer),
        "answer first": np.insert(others, 0, answer),
    }


def table() -> None:
    print("| study | seed | answers right: order found | answer last | answer first | seconds | order found |")
    print("|---|---|---|---|---|---|---|")
    for cells in STUDIES.values():
        for row in read_rows("reasoning", cells):
            shares = " | ".join(f"{100 * share:.1f} %" for share in row["answers"].values()) or "- | - | -"
            print(
                f"| {row['study']} | {row['seed']} | {shares} | {row['seconds']:.0f} | {' '.join(row['order'])} |"
            )


if __name__ == "__main__":
    run_named("reasoning", STUDIES, measure, table)
