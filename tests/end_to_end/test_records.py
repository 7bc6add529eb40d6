"""An order is found in records of text, whose keys stand in another sequence in every line."""

import json

import numpy as np

import pyorder


def test_the_order_of_a_chain_is_found_in_shuffled_records(tmp_path):
    """y_i = (x_i² + y_(i-1)²) mod 19, written as text of one or two digits."""
    rng = np.random.default_rng(0)
    made = pyorder.make_task("square", length=3).generate(6000, seed=0)
    lines = []
    for x, y in zip(made.inputs.tolist(), made.targets.tolist(), strict=True):
        told = {f"x{i}": value for i, value in enumerate(x)}
        told["say"] = {f"y{i}": str(y[i]) for i in rng.permutation(3).tolist()}
        lines.append(json.dumps({key: told[key] for key in rng.permutation(list(told)).tolist()}))
    path = tmp_path / "chain.jsonl"
    path.write_text("\n".join(lines))
    data = pyorder.Dataset.from_records(path, inputs=["x0", "x1", "x2"])
    assert data.widths == (2, 2, 2)
    assert len({line.index('"y0"') < line.index('"y1"') for line in lines}) == 2
    train, validation, _ = data.split(seed=0)
    found = pyorder.discover(train, validation=validation, seed=0, device="cpu")
    assert found.names == ("say.y0", "say.y1", "say.y2")
    assert sorted(found.names) != list(data.names)  # which is where the first line happens to have them
