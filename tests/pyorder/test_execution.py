import itertools

import pytest
import torch

from pyorder import execution


def test_docstring_examples(doctests):
    doctests(execution)


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "meta", "cpu:x"])
def test_an_unusable_device_is_named(name):
    with pytest.raises(ValueError, match="^device: "):
        execution.resolve_device(name)


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match=r"^precision: 'float16' is none of 'auto', 'float32', 'bfloat16'"):
        execution.resolve_precision("float16", torch.device("cpu"))


@pytest.mark.parametrize(
    ("supported", "seconds", "expected"),
    [
        (True, 0.5, torch.bfloat16),
        (True, 0.95, torch.float32),
        (True, 2.0, torch.float32),
        (False, 0.5, torch.float32),
    ],
)
def test_auto_is_bfloat16_where_it_is_clearly_faster(monkeypatch, supported, seconds, expected):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    disturbed = itertools.cycle([9.0, 1.0, 1.0])  # by whatever else the machine does

    def took(kind):
        return next(disturbed) * (seconds if kind == torch.bfloat16 else 1.0)

    monkeypatch.setattr(execution, "_product_seconds", took)
    execution._bfloat16_is_faster.cache_clear()
    try:
        assert execution.resolve_precision("auto", torch.device("cpu")) == expected
    finally:
        execution._bfloat16_is_faster.cache_clear()


def test_products_are_timed_once_a_process(monkeypatch):
    """So that what a process computes does not change on the way."""
    timed = []
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(execution, "_product_seconds", lambda kind: timed.append(kind) or 1.0)
    execution._bfloat16_is_faster.cache_clear()
    try:
        for _ in range(3):
            execution.resolve_precision("auto", torch.device("cpu"))
    finally:
        execution._bfloat16_is_faster.cache_clear()
    assert timed == [torch.float32, torch.bfloat16] * execution.TURNS


def test_a_lent_stream_leaves_the_callers_generator_alone_even_on_error():
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    with pytest.raises(RuntimeError, match="inside"), execution.RandomStream(5, torch.device("cpu")).lent():
        torch.rand(10)
        raise RuntimeError("inside")
    assert torch.equal(torch.rand(3), wanted)
