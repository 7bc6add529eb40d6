"""A language model as what searches: it ranks orders, and explores."""

import numpy as np
import pytest

import pyorder
from pyorder.models import LanguageModel

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")


def chain(count=1000):
    """Of four bits a and c are sums of two each, modulo two, and b is that of a and c; keys are a token each."""
    words = ["{", ",", '"', *(f' "{key}": "' for key in "xabc"), "0", "1"]
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: place for place, word in enumerate(words)}))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(' "[a-z]+": "|.'), "isolated")
    raw.decoder = tokenizers.decoders.Fuse()
    bits = np.random.default_rng(0).integers(0, 2, (count, 4))
    a, c = bits[:, 0] ^ bits[:, 1], bits[:, 2] ^ bits[:, 3]
    columns = zip(bits.tolist(), a.tolist(), (a ^ c).tolist(), c.tolist(), strict=True)
    rows = [
        {"x": "".join(map(str, x)), **{key: str(bit) for key, bit in zip("abc", told, strict=True)}}
        for x, *told in columns
    ]
    data = pyorder.Dataset.from_records(rows, inputs=["x"], tokenizer=raw)
    sizes = {"vocab_size": len(words), "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 32}
    sizes |= dict.fromkeys(("bos_token_id", "eos_token_id", "resid_pdrop", "embd_pdrop", "attn_pdrop"), 0)
    config = transformers.GPT2Config(**sizes, initializer_range=0.2)
    return data, LanguageModel(config, tokenizer=raw)


def test_what_follows_from_two_other_fields_is_written_last():
    data, learner = chain()
    found = pyorder.discover(
        data.select(range(900)),
        validation=data.select(range(900, 1000)),
        model=learner,
        strategy=pyorder.search.Exhaustive(finalists=1),
        recipe=pyorder.Recipe(steps=500, learning_rate=5e-3, batch_size=32, precision="float32"),
        seeds=3,
    )
    assert found.names[-1] == "b"
    losses = found.history[-1].profile.loss
    last = found.history[-1].profile.orders[:, -1] == data.names.index("b")
    assert losses[last].max() < losses[~last].min()


def test_it_explores_itself_at_the_rate_of_profiling(explorers):
    data, learner = chain(100)
    brief = pyorder.Recipe(steps=2, learning_rate=0.5, batch_size=8, schedule="constant")
    strategy = pyorder.search.Precedence(rounds=1, samples=20, candidates=2, racers=0, recipe=brief)
    found = pyorder.discover(data, validation=data, model=learner, strategy=strategy, steps=2, batch_size=8)
    assert explorers[0].learner is learner
    assert explorers[0].recipe.learning_rate == found.settings["learning_rate"] == learner.usual_rate
    assert sorted(found.names) == ["a", "b", "c"]
