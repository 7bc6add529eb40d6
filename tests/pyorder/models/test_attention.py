import numpy as np
import pytest
import torch

from pyorder.models import attention
from pyorder.models.attention import attention_entropy, attention_maps
from pyorder.training.presets import PRESETS


def test_docstring_examples(doctests):
    doctests(attention)


@pytest.fixture
def looked_at():
    torch.manual_seed(0)
    preset = PRESETS["nano"].but(layers=2, heads=2, width=16, feed_forward=16)
    model = preset(vocabulary_size=7, input_length=3, target_length=4).eval()
    inputs, emitted = torch.randint(7, (5, 3)), torch.randint(7, (5, 4))
    return model, inputs, emitted


def test_every_slot_sees_the_input_and_the_slots_before_it(looked_at):
    maps = attention_maps(*looked_at)
    assert [tuple(layer.shape) for layer in maps] == [(5, 2, 4, 7)] * 2
    seen = np.concatenate([np.ones((4, 3)), np.tril(np.ones((4, 4)))], axis=1) > 0
    for layer in maps:
        torch.testing.assert_close(layer.sum(-1), torch.ones(5, 2, 4))
        assert (layer[..., torch.from_numpy(~seen)] == 0).all()
        assert (layer[..., torch.from_numpy(seen)] > 0).all()


@pytest.mark.parametrize("gaps", [False, True])
def test_the_weights_are_those_that_the_model_uses(looked_at, gaps):
    """With values that are one at a single place and zero elsewhere, attention gives back that place's weight."""
    model, inputs, emitted = looked_at
    padding = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]) > 0
    given = (padding,) if gaps else ()
    maps = attention_maps(model, inputs, emitted, *given)
    block, wanted = model.blocks[-1], []

    def spy(module, arguments, named):
        _, normed, keys, values, visible = arguments
        for place in range(keys.shape[2]):
            alone = torch.zeros_like(values)
            alone[:, :, place] = 1
            queries = module.split(module.query(normed))
            mixed = torch.nn.functional.scaled_dot_product_attention(queries, keys, alone, visible)
            wanted.append(mixed[..., 0])

    hook = block.register_forward_pre_hook(spy, with_kwargs=True)
    with torch.inference_mode():
        model(inputs, emitted, *given)
    hook.remove()
    torch.testing.assert_close(maps[-1], torch.stack(wanted[-7:], -1))
    assert not block._forward_pre_hooks


def test_entropy_is_between_none_and_uniform():
    uniform = torch.full((3, 8), 1 / 8)
    torch.testing.assert_close(attention_entropy(uniform), torch.full((3,), np.log(8), dtype=torch.float32))
    assert attention_entropy(torch.eye(4)).tolist() == [0, 0, 0, 0]


def test_another_module_is_refused():
    with pytest.raises(TypeError, match="^module: the built-in decoder is needed, Linear given"):
        attention_maps(torch.nn.Linear(2, 2), torch.zeros(1, 2), torch.zeros(1, 2))
