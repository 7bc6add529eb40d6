"""A language model on the command line."""

import json

import pytest

from pyorder.models.learner import AnyOrderLearner

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

ASKED = ["--inputs", "ask", "--targets", "sum,odd"]
BRIEF = [
    "--strategy",
    "random",
    "--option",
    "candidates=2",
    "--steps",
    "2",
    "--batch-size",
    "8",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny GPT-2 with random weights and a tokenizer of bytes."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    raw = tokenizers.Tokenizer(tokenizers.models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=raw).save_pretrained(path)
    sizes = {"vocab_size": 256, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    config = transformers.GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    return path


@pytest.fixture
def asked(tmp_path):
    rows = [{"ask": f"{a}+{b}", "sum": a + b, "odd": bool((a + b) % 2)} for a in range(12) for b in range(12)]
    path = tmp_path / "asked.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_language_model_searches_and_learns(run, asked, folder):
    words = ["--data", asked, *ASKED, "--language-model", folder, *BRIEF]
    code, out, err = run("discover", *words, "--fit-steps", "2", "--out", "found")
    assert code == 0, err
    count = 256 * 16 + 64 * 16 + 12 * 16**2 + 13 * 16 + 2 * 16  # tokens, places, a layer, the last norm
    assert f"tiny: {count:,} parameters, all trained, some 0.1 MiB a model in training; records of " in err
    assert "trained on" in out
    took = json.loads((asked.parent / "found" / "result.json").read_text())["search"]
    steps, rows = took["training_steps"], took["rows_scored"]
    assert f"the search takes some {steps} training steps, and scores some {rows} rows\n" in err
    found = json.loads((asked.parent / "found" / "config.json").read_text())
    assert found["settings"]["arguments"]["language_model"] == str(folder)
    fitted = json.loads((asked.parent / "found" / "discovered" / "config.json").read_text())
    assert fitted["settings"]["model"] == "tiny"


@pytest.mark.parametrize("words", [(), ("--built-in-explorer",)])
def test_it_explores_or_leaves_that_to_the_built_in_model(told, asked, folder, monkeypatch, words):
    built, build = [], AnyOrderLearner.build
    monkeypatch.setattr(AnyOrderLearner, "build", lambda self, shape: built.append(shape) or build(self, shape))
    brief = ["--option", "rounds=1", "--option", "racers=0", "--steps", "1", "--batch-size", "8", "--no-fit"]
    own = ["--data", asked, *ASKED, "--language-model", folder]
    result = told("discover", *own, "--strategy", "precedence", *brief, "--device", "cpu", *words)
    assert bool(built) is bool(words)
    assert result["search"]["strategy"] == "precedence"


def test_it_profiles_and_trains(told, asked, folder):
    own = ["--data", asked, *ASKED, "--language-model", folder, "--steps", "2", "--batch-size", "8"]
    result = told("profile", *own, "--random", "2")
    assert (result["settings"]["model"], result["settings"]["learning_rate"]) == ("tiny", 5e-5)
    assert told("train", *own, "--order", "odd,sum")["names"] == ["odd", "sum"]


def test_what_does_not_go_with_it_is_refused(refused, asked, folder, own_data):
    own = ["--language-model", folder]
    assert refused("discover", "--data", asked, *own, "--model", "nano").startswith(
        "--language-model: stands in pl"
    )
    assert refused("discover", "--data", asked, "--lora", "4") == "--lora: goes with --language-model"
    said = "--built-in-explorer: goes with --language-model"
    assert refused("discover", "--data", asked, "--built-in-explorer") == said
    said = "--language-model: goes with --data FILE, where that ends in .jsonl"
    assert refused("discover", "--data", own_data(), *own) == said
    assert refused("discover", "square", "--length", "5", *own) == said
    said = refused("discover", "--data", asked, "--language-model", asked.parent)
    assert said.startswith("--language-model: model: ")
