"""Orders of fields on a model in training: the losses are right, and nothing is disturbed."""

import random
import subprocess
import sys
from math import factorial, log

import numpy as np
import pytest
import torch
from torch import nn

from pyorder import FieldOrders, JsonRecords
from pyorder.errors import InputError
from pyorder.profiling import field_orders

RNG = np.random.default_rng(0)
RECORDS = [{"a": a, "b": a + b, "c": "xyz"[b]} for a, b in RNG.integers(0, 3, (20, 2)).tolist()]


class Characters:
    def encode(self, text):
        return [ord(letter) for letter in text]

    def decode(self, ids):
        return "".join(map(chr, ids))


class Recurrent(nn.Module):
    """A causal model of a caller's own that draws random numbers from everywhere, and drops in training."""

    def __init__(self):
        super().__init__()
        self.embed, self.read = nn.Embedding(128, 16), nn.GRU(16, 16, batch_first=True)
        self.frozen, self.head = nn.Dropout(0.3), nn.Linear(16, 128)

    def forward(self, input_ids, attention_mask=None):
        random.random(), np.random.random(), torch.rand(1)  # noqa: NPY002
        state, _ = self.read(nn.functional.dropout(self.embed(input_ids), 0.3, self.training))
        return self.head(self.frozen(state))


@pytest.fixture
def fields():
    return FieldOrders(JsonRecords(Characters(), ["b", "c"], inputs=["a"]), RECORDS, batch_size=7)


def test_examples(doctests):
    doctests(field_orders)


def test_losses_are_those_of_each_record_alone(fields):
    torch.manual_seed(0)
    model = Recurrent().eval()
    profile = fields.measure(model)
    assert profile.orders.tolist() == [[0, 1], [1, 0]]
    for place, order in enumerate(["bc", "cb"]):
        of_record = []
        for record in RECORDS:
            text = f'{{"a": {record["a"]}, ' + ", ".join(f'"{k}": {dumped(record[k])}' for k in order) + "}"
            ids = torch.tensor([[ord(letter) for letter in text]])
            with torch.no_grad():
                nats = nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:], reduction="none").tolist()
            lost = {}
            for k in "bc":
                begin = text.index(f'"{k}":') + 4
                end = begin + len(dumped(record[k])) + 2  # a blank, and the mark that ends it
                lost[k] = sum(nats[begin - 1 : end - 1])
            of_record.append([lost["b"], lost["c"]])
        np.testing.assert_allclose(profile.step_loss[place], np.mean(of_record, axis=0), rtol=1e-5)
    np.testing.assert_allclose(profile.loss, profile.step_loss.mean(1))
    assert profile.loss[profile.ranking].tolist() == sorted(profile.loss)
    assert profile.standard_error[profile.ranking[0]] == 0 < profile.standard_error[profile.ranking[1]]
    assert (profile.step_names, profile.cost.rows_scored) == (("b", "c"), 40)
    assert profile.summary()["candidates"][0]["names"] in (["b", "c"], ["c", "b"])


def dumped(value):
    return f'"{value}"' if isinstance(value, str) else str(value)


def train(watch, model, steps=6):
    """Weights after a few steps of a plain loop that looks at every second one."""
    torch.manual_seed(1), random.seed(1), np.random.seed(1)  # noqa: NPY002
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    ids = torch.randint(128, (4, 12))
    for step in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            if watch is not None and step % 2:
                watch.measure(model)  # inside of autocast, which keeps the weights that it has cast
            logits = model(ids)
            loss = nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        if watch is not None:
            watch.measure(model)  # between gradients and their use
        optimiser.step()
    drawn = random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002
    return [weight.detach().clone() for weight in model.parameters()], drawn


def test_training_gives_the_same_bits_with_and_without(fields):
    made = Recurrent()
    weights = made.state_dict()
    runs = []
    for watch in (None, fields):
        model = Recurrent()
        model.load_state_dict(weights)
        model.frozen.eval()
        runs.append(train(watch, model))
        assert (model.training, model.read.training, model.frozen.training) == (True, True, False)
    (plain, drawn), (watched, drawn_too) = runs
    assert all(torch.equal(one, other) for one, other in zip(plain, watched, strict=True))
    assert drawn == drawn_too
    assert not torch.equal(plain[0], weights["embed.weight"])


def test_modes_and_numbers_are_given_back_where_the_model_fails(fields):
    class Broken(Recurrent):
        def forward(self, input_ids, attention_mask):
            super().forward(input_ids)
            raise KeyError("broken")

    model, state = Broken(), torch.get_rng_state()
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with pytest.raises(KeyError, match="broken"):
        fields.measure(model)
    assert model.training
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_what_is_set_around_it_changes_no_loss(fields):
    model = Recurrent()
    wanted = fields.measure(model).step_loss
    with torch.inference_mode(), torch.device("meta"):
        np.testing.assert_array_equal(fields.measure(model).step_loss, wanted)


@pytest.mark.gpu
def test_random_states_of_gpus_are_given_back(fields):
    model = Recurrent().cuda()
    state = torch.cuda.get_rng_state()
    wanted = fields.measure(model.cpu()).step_loss
    np.testing.assert_allclose(fields.measure(model.cuda()).step_loss, wanted, rtol=1e-2)
    assert torch.equal(torch.cuda.get_rng_state(), state)


@pytest.mark.parametrize("length", [2, 4, 5, 6, 9])
def test_all_is_every_order_up_to_five_fields_and_a_sample_beyond(length):
    names = [f"f{number}" for number in range(length)]
    orders = FieldOrders(JsonRecords(Characters(), names), [dict.fromkeys(names, 1)]).orders
    assert len(orders) == min(factorial(length), 120)
    assert len(set(map(tuple, orders.tolist()))) == len(orders)
    assert (np.sort(orders, axis=1) == np.arange(length)).all()


def test_orders_are_named_or_numbered(fields):
    written = JsonRecords(Characters(), ["b", "c", "a"])
    for orders in ([["c", "a", "b"], [0, 1, 2]], np.array([[1, 2, 0], [0, 1, 2]])):
        assert FieldOrders(written, RECORDS, orders).orders.tolist() == [[1, 2, 0], [0, 1, 2]]


def test_ties_are_broken_by_the_seed_and_not_by_the_sequence_of_the_orders():
    class Guess(nn.Module):
        def forward(self, input_ids, attention_mask):
            return torch.zeros(*input_ids.shape, 128)

    written = JsonRecords(Characters(), ["b", "c", "a"])
    first = [FieldOrders(written, RECORDS, seed=seed).measure(Guess()).ranking[0] for seed in range(20)]
    assert len(set(first)) > 2
    loss = FieldOrders(written, [{"a": 1, "b": 2, "c": 3}]).measure(Guess()).loss
    np.testing.assert_allclose(loss, 3 * log(128), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"orders": "some"}, InputError, "orders: expected 'all' or orders, got 'some'"),
        ({"orders": []}, InputError, "orders: expected at least one, got none"),
        ({"orders": [["b", "a"]]}, InputError, "order: expected each of b, c once, got b, a"),
        ({"orders": [[0, 0]]}, ValueError, "order: not a permutation"),
        ({"records": []}, InputError, "records: expected at least one, got none"),
        ({"records": [{"b": 1}]}, InputError, "records: there is no 'a'; there are b"),
        ({"batch_size": 0}, ValueError, "batch_size: expected an integer of at least 1, got 0"),
        ({"written": JsonRecords(Characters(), ["b"])}, InputError, "written: expected at least 2 steps, got b"),
    ],
)
def test_bad_input_is_refused_before_training(change, kind, message):
    given = {"written": JsonRecords(Characters(), ["b", "c"], inputs=["a"]), "records": RECORDS} | change
    with pytest.raises(kind, match=f"^{message}"):
        FieldOrders(**given)


def test_without_transformers_one_line_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['transformers'] = None; import pyorder.profiling.hugging_face"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = "ImportError: pyorder.profiling.hugging_face: needs transformers (pip install 'pyorder[hf]')"
    assert done.stderr.splitlines()[-1] == said
