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


def test_a_lent_stream_leaves_the_callers_generator_alone_even_on_error():
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    with pytest.raises(RuntimeError, match="inside"), execution.RandomStream(5, torch.device("cpu")).lent():
        torch.rand(10)
        raise RuntimeError("inside")
    assert torch.equal(torch.rand(3), wanted)
