"""The callback in Hugging Face's Trainer: it measures, and training is as if it did not."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments

from pyorder import FieldOrders, JsonRecords, permutations
from pyorder.profiling import hugging_face
from pyorder.profiling.hugging_face import OrderCallback

ROWS = np.random.default_rng(0).integers(0, 5, (40, 2)).tolist()
RECORDS = [{"x": a, "y": b, "sum": a + b} for a, b in ROWS]


class Characters:
    def encode(self, text):
        return [ord(letter) for letter in text]

    def decode(self, ids):
        return "".join(map(chr, ids))


def fields(**more):
    return FieldOrders(JsonRecords(Characters(), ["y", "sum"], inputs=["x"]), RECORDS[:9], batch_size=4, **more)


def train(folder, *, watch=None, log=False, steps=4, rate=1e-3, order=("x", "y", "sum")):
    """A Trainer whose model writes records in one order, and drops."""
    texts = [json.dumps({name: record[name] for name in order}) for record in RECORDS[9:]]
    rows = [{"input_ids": [ord(letter) for letter in text]} for text in texts]
    rows = [
        row | {"labels": row["input_ids"]} for row in rows if len(row["input_ids"]) == len(rows[0]["input_ids"])
    ]
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=128, n_positions=64, n_embd=32, n_layer=1, n_head=2, resid_pdrop=0.2, embd_pdrop=0.2,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=8, learning_rate=rate, use_cpu=True,
        report_to=[], save_strategy="no", logging_steps=2, disable_tqdm=True, seed=3, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(GPT2LMHeadModel(config), arguments, train_dataset=rows)
    trainer.remove_callback(PrinterCallback)
    if watch is not None:
        watch.log = trainer.log if log else None
        trainer.add_callback(watch)
    trainer.train()
    return trainer


def test_examples(doctests):
    doctests(hugging_face)


@pytest.mark.parametrize("log", [False, True])
def test_training_gives_the_same_bits_with_and_without(tmp_path, log):
    plain = train(tmp_path)
    watch = OrderCallback(fields(), every=1)
    watched = train(tmp_path, watch=watch, log=log)
    weights, others = (trainer.model.state_dict() for trainer in (plain, watched))
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert [measured.step for measured in watch.history] == [1, 2, 3, 4]
    kept = [
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry] for trainer in (plain, watched)
    ]
    assert len(kept[0]) == 2
    assert kept[0] == kept[1]


@pytest.mark.parametrize("log", [False, True])
def test_losses_are_in_the_log_best_first(tmp_path, log):
    watch = OrderCallback(fields(), every=2)
    trainer = train(tmp_path, watch=watch, log=log)
    told = [entry for entry in trainer.state.log_history if any("order_loss" in key for key in entry)]
    assert [entry["step"] for entry in told] == [2, 4] == [measured.step for measured in watch.history]
    for entry, (_, profile) in zip(told, watch.history, strict=True):
        losses = {key: value for key, value in entry.items() if key.startswith("order_loss/")}
        assert set(losses) == {"order_loss/y,sum", "order_loss/sum,y"}
        assert list(losses.values()) == sorted(profile.loss)
        assert losses["order_loss/y,sum"] == profile.loss[0]
        assert entry["epoch"] > 0
    json.dumps(trainer.state.log_history)
    assert fields().measure(trainer.model).loss.tolist() == watch.history[-1].profile.loss.tolist()


def test_the_order_that_was_trained_on_comes_out_first(tmp_path):
    watch = OrderCallback(fields(), every=60)
    train(tmp_path, watch=watch, steps=60, rate=1e-2, order=("x", "sum", "y"))
    (measured,) = watch.history
    assert measured.profile.best.tolist() == [1, 0]
    assert measured.profile.loss.max() > 1.2 * measured.profile.loss.min()


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="^fields: expected FieldOrders, got list$"):
        OrderCallback(RECORDS, every=3)
    with pytest.raises(ValueError, match="^every: expected an integer of at least 1, got 0$"):
        OrderCallback(fields(), every=0)


def test_orders_may_be_drawn_by_the_package():
    assert len(fields(orders=permutations.sample(2, 1, seed=0)).orders) == 1
