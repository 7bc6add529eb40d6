import pytest
import torch

from pyorder.models import decoder as model
from pyorder.models.decoder import attend
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(layers=2, heads=2, width=16, feed_forward=32)


def test_docstring_examples(doctests):
    doctests(model)


def test_presets_have_the_published_sizes():
    # GPT-2's parameters for width W, feed-forward F: 4 W^2 + 2 W F + biases and norms in each layer.
    def in_blocks(name):
        return sum(p.numel() for p in PRESETS[name](19, 13, 13).blocks.parameters())

    width, hidden = 512, 2048
    layer = 4 * width * width + 2 * width * hidden + (4 * width + hidden + width) + 4 * width
    assert in_blocks("small") == layer
    assert in_blocks("large") == 6 * layer
    assert PRESETS["small"].architecture.dropout == PRESETS["large"].architecture.dropout == 0.1
    assert PRESETS["small"].architecture.heads == 1


def test_agrees_with_a_stock_gpt2_of_the_same_weights():
    """The published architecture, by an independent implementation."""
    transformers = pytest.importorskip("transformers")
    values, inputs_n, steps, width = 9, 4, 5, 32
    published = PRESETS["small"].but(layers=2, heads=2, width=width, feed_forward=128)
    ours = published(values, inputs_n, steps)
    config = transformers.GPT2Config(
        vocab_size=values + 1, n_positions=inputs_n + steps, n_embd=width, n_layer=2, n_head=2, n_inner=128
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    ours.eval()
    with torch.no_grad():
        theirs.transformer.wte.weight.copy_(ours.token_embedding.weight)
        theirs.transformer.wpe.weight.copy_(ours.position_embedding.weight)
        for mine, other in zip(ours.blocks, theirs.transformer.h, strict=True):
            other.attn.c_attn.weight.copy_(torch.cat([mine.query.weight, mine.key_value.weight]).T)
            other.attn.c_proj.weight.copy_(mine.attention_out.weight.T)
            other.mlp.c_fc.weight.copy_(mine.feed_forward_in.weight.T)
            other.mlp.c_proj.weight.copy_(mine.feed_forward_out.weight.T)
        inputs, emitted = torch.randint(values, (3, inputs_n)), torch.randint(values, (3, steps))
        separator = torch.full((3, 1), values)
        logits = theirs(torch.cat([inputs, separator, emitted[:, :-1]], 1)).logits[:, inputs_n:, :values]
        torch.testing.assert_close(ours(inputs, emitted), logits, rtol=1e-4, atol=1e-5)


def test_training_and_inference_attend_alike():
    torch.manual_seed(0)
    decoder = TINY(9, 4, 5)
    inputs, emitted = torch.randint(9, (3, 4)), torch.randint(9, (3, 5))
    with torch.no_grad():
        fused = decoder(inputs, emitted)
    torch.testing.assert_close(decoder(inputs, emitted), fused, rtol=1e-4, atol=1e-5)


def test_writing_step_by_step_is_writing_at_once():
    torch.manual_seed(0)
    decoder = TINY(9, 4, 5).eval()
    inputs, emitted = torch.randint(9, (3, 4)), torch.randint(9, (3, 5))
    at_once = decoder(inputs, emitted)
    memory = decoder.read(inputs)
    before = decoder.separator.expand(3, 1)
    for slot in range(5):
        logits, memory = decoder.write(memory, before, torch.tensor([slot]), torch.ones(1, 1, dtype=torch.bool))
        torch.testing.assert_close(logits[:, 0], at_once[:, slot], rtol=1e-4, atol=1e-5)
        before = emitted[:, slot : slot + 1]


def test_every_parameter_is_used():
    decoder = TINY(9, 4, 5)
    decoder(torch.randint(9, (64, 4)), torch.randint(9, (64, 5))).square().sum().backward()
    unused = [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert unused == []


def test_nobody_looks_at_padding():
    """Not at a column with nothing in it, and the columns after it are predicted all the same."""
    torch.manual_seed(0)
    decoder = TINY(9, 4, 5).eval()
    inputs, emitted = torch.randint(9, (3, 4)), torch.randint(9, (3, 5))
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[:, 1] = True
    changed = emitted.clone()
    changed[:, 1] = (changed[:, 1] + 1) % 9
    logits, others = decoder(inputs, emitted, padding), decoder(inputs, changed, padding)
    seen = (logits != others).any(2)
    # What is emitted enters at the next position: there, and nowhere after, the filler is seen.
    assert seen.tolist() == [[False, False, True, False, False]] * 3
    torch.testing.assert_close(decoder(inputs, emitted, torch.zeros_like(padding)), decoder(inputs, emitted))


def test_without_inputs_it_writes_from_nothing():
    decoder = TINY(9, 0, 5).eval()
    emitted = torch.randint(9, (3, 5))
    logits = decoder(torch.zeros(3, 0, dtype=torch.long), emitted)
    assert logits.shape == (3, 5, 9)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"heads": 3}, "heads"),
        ({"layers": 0}, "layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"warmup": -1}, "warmup"),
        ({"steps": 0}, "steps"),
    ],
)
def test_impossible_presets_are_refused(change, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        TINY.but(**change)


def test_training_attention_has_the_gradients_of_masked_softmax():
    """The mask is set unseen by autograd; in float64, against the fused attention that is told the mask."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(2, 3, size, 4, generator=generator, dtype=torch.float64) for size in (5, 6, 6)]
    bias = torch.randn(3, 5, 6, generator=generator, dtype=torch.float64)
    visible = torch.rand(2, 1, 5, 6, generator=generator) < 0.5
    visible[..., 0] = True
    weight = torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    ours = [part.clone().requires_grad_() for part in (*parts, bias)]
    theirs = [part.clone().requires_grad_() for part in (*parts, bias)]
    found = attend(*ours[:3], visible, 0.0, ours[3])
    mask = theirs[3].expand(2, -1, -1, -1).masked_fill(~visible, -torch.inf)
    wanted = torch.nn.functional.scaled_dot_product_attention(*theirs[:3], mask)
    torch.testing.assert_close(found, wanted)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("inputs", [0, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_a_gpu_trains_what_a_cpu_trains(layers, inputs, padded, monkeypatch):
    """All positions together have the losses and gradients of X, then Y."""
    torch.manual_seed(0)
    decoder = TINY.but(layers=layers)(9, inputs, 5)
    known, emitted = torch.randint(9, (3, inputs)), torch.randint(9, (3, 5))
    padding = torch.rand(3, 5) < 0.4 if padded else None
    shown = None if padding is None else torch.nn.functional.pad(~padding[:, :-1], (1, 0), value=True)
    before = torch.cat([decoder.separator.expand(3, 1), emitted[:, :-1]], 1)
    parameters = dict(decoder.named_parameters())
    apart, together = decoder(known, emitted, padding), decoder.together(known, before, shown)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
    for name, one, other in zip(
        parameters,
        *(torch.autograd.grad(logits.square().sum(), parameters.values()) for logits in (apart, together)),
        strict=True,
    ):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4, msg=name)
