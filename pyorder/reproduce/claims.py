"""Claims of the paper, and what reviews asked of it, in one table beside what the finished rows say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyorder.reproduce._base import NOT_RUN, Row, Study, Table

COLUMNS = ("claim", "published", "ours", ">seeds", "verdict", "criterion", "command")


def compare(studies: Mapping[str, tuple[Study, Sequence[Row]]], scale: str) -> Table:
    """Set every study's claim beside what its rows say; a study without rows is not run.

    Examples
    --------
    >>> from pyorder.reproduce import make_study
    >>> compare({"table1": (make_study("table1"), [])}, "laptop").lines[0][2:5]
    ['-', '0', 'not run']
    """
    lines = []
    for name, (study, rows) in studies.items():
        found = study.finding(rows)
        seeds = {row["cell"].get("profile_seed", row["cell"]["seed"]) for row in rows}
        verdict = found.verdict
        if verdict != NOT_RUN:
            verdict += (
                f" ({sum(found.holds)} of {len(found.holds)}; {len(rows)} of {len(study.cells())} cells run)"
            )
        command = f"`pyorder reproduce {name} --scale {scale}`"
        lines.append(
            [
                study.claim,
                study.claimed,
                found.ours if found.holds else "-",
                str(len(seeds)),
                verdict,
                study.criterion,
                command,
            ]
        )
    return Table("Claims, and what the rows here say of them.", COLUMNS, lines)
