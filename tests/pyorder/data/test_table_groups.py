"""A column that says which rows belong together: on one side of every split, and of evidence and training."""

import numpy as np
import pytest
import torch

from pyorder import Dataset
from pyorder.data.tokens import Tokens
from pyorder.errors import InputError

# CI has them; a GPU's tests may run where they are not.
pandas, pyarrow = (pytest.importorskip(name) for name in ("pandas", "pyarrow"))


def of_patients(rows=400, patients=40):
    rng = np.random.default_rng(0)
    patient = rng.integers(patients, size=rows)
    visits = {
        "patient": [f"p{n}" for n in patient],
        "a": rng.integers(3, size=rows),
        "b": rng.integers(3, size=rows),
    }
    return pandas.DataFrame(visits), patient


def test_rows_of_one_group_are_on_one_side(tmp_path):
    frame, patient = of_patients()
    data = Dataset.from_table(frame, groups="patient")
    assert data.names == ("a", "b")
    assert len(set(zip(data.groups.tolist(), patient.tolist(), strict=True))) == 40
    data.save(tmp_path / "mine.safetensors")
    for whole in (
        data,
        Dataset.open(tmp_path / "mine.safetensors"),
        data.reorder([1, 0]),
        data.select(range(400)),
    ):
        parts = whole.split(seed=3)
        groups = [set(part.groups.tolist()) for part in parts]
        assert sum(map(len, groups)) == 40
        assert sum(part.rows for part in parts) == 400
        assert parts.train.metadata["split_by"] == "group"


def test_evidence_is_of_other_groups_than_training():
    frame, _ = of_patients()
    data = Dataset.from_table(frame, groups="patient")
    tokens = Tokens.of(data, "train", torch.device("cpu")).compact()
    apart = tokens.set_apart(80, np.random.default_rng(0))
    held, kept = data.groups[apart.held], data.groups[apart.kept]
    assert not set(held.tolist()) & set(kept.tolist())
    assert 60 <= len(held) <= 80
    assert len(set(zip(held.tolist(), apart.cluster.tolist(), strict=True))) == len(set(held.tolist()))
    assert tokens.select(torch.tensor([5, 7])).groups.tolist() == data.groups[[5, 7]].tolist()


@pytest.mark.parametrize("ending", ["", ".parquet"])
def test_groups_may_be_categories(ending, tmp_path):
    frame, patient = of_patients()
    frame = frame.astype({"patient": "category"})
    frame.loc[3, "patient"] = None
    if ending:
        frame.to_parquet(path := tmp_path / "mine.parquet")
    groups = Dataset.from_table(path if ending else frame, groups="patient").groups
    patient[3] = -1
    assert len(set(zip(groups.tolist(), patient.tolist(), strict=True))) == 41


def test_few_and_large_groups_are_not_torn():
    data = Dataset(None, np.random.default_rng(0).integers(3, size=(100, 2)), groups=["x"] * 90 + ["y"] * 10)
    tokens = Tokens.of(data, "train", torch.device("cpu"))
    apart = tokens.set_apart(5, np.random.default_rng(0))
    assert sorted(apart.held.tolist()) == list(range(90, 100))
    with pytest.raises(
        InputError, match="^groups: 2 groups are too few for splits of 0.8, 0.1, 0.1; the largest has 90"
    ):
        data.split(seed=0)
    with pytest.raises(ValueError, match="^train: all rows are of one group"):
        Tokens.of(data.select(range(90)), "train", torch.device("cpu")).set_apart(5, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"^groups: expected one for each of 100 rows, got shape \(2,\)$"):
        Dataset(None, data.targets, groups=[0, 1])
    with pytest.raises(InputError, match=r"^groups: expected integers or texts of shape \(N,\), got float64"):
        Dataset(None, data.targets, groups=np.zeros(100))
    with pytest.raises(InputError, match="^groups: there is no column 'name'; the columns are a, b$"):
        Dataset.from_table(pyarrow.table({"a": [1, 2], "b": [1, 2]}), groups="name")
