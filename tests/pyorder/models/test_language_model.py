"""A causal language model as what learns, against records that are written by hand and read one by one."""

import copy
import json
import sys

import numpy as np
import pytest
import torch

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.errors import InputError
from pyorder.models import LanguageModel, language_model, layout
from pyorder.models.learner import AnyOrderLearner, Learner
from pyorder.search import Precedence
from pyorder.training.generation import at_random, generate

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CPU = torch.device("cpu")
ROWS = [
    {"ask": "two", "a": "12", "b": "hello"},
    {"ask": "hello", "a": "1", "b": "he"},
    {"ask": None, "a": "123", "b": None},
    {"ask": "12 two", "a": "4321", "b": "hello two"},
    {"ask": "t", "a": "12", "b": ""},
]


def byte_tokenizer(*, special=("<eos>",), words=("hello two 12 hello two 12",)):
    """A byte-level BPE whose merges are those of a few words."""
    raw = tokenizers.Tokenizer(tokenizers.models.BPE())
    raw.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=266,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special),
        show_progress=False,
    )
    raw.train_from_iterator(words, trainer)
    named = {name: "<eos>" for name in ("eos_token", "bos_token") if special}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, **named)


TOKENIZER = byte_tokenizer()
EOS = TOKENIZER.eos_token_id


def gpt2(**numbers):
    sizes = {"vocab_size": 266, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 96}
    others = {"initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 0}
    return transformers.GPT2Config(**sizes | others | numbers)


def llama():
    sizes = {"vocab_size": 266, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 96}
    return transformers.LlamaConfig(**sizes, **heads, initializer_range=0.3, bos_token_id=0, eos_token_id=0)


def records(rows=ROWS, tokenizer=TOKENIZER, **options):
    return pyorder.Dataset.from_records(rows, inputs=["ask"], targets=["a", "b"], tokenizer=tokenizer, **options)


def tokens_of(data):
    return Tokens.of(data, "data", CPU)


def made(learner, tokens, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return learner.build(tokens.shape).eval()


def in_orders(tokens, orders):
    orders = np.array(orders)
    return tokens.batch(torch.arange(len(orders)), tokens.column_orders(orders))


def by_hand(module, row, fields, widest):
    """Nats of each field's value, of a record that is read alone and whole, in float64."""
    encode = lambda text: TOKENIZER.encode(text, add_special_tokens=False)
    (quote,) = encode('"')
    read, counted = [EOS, *encode("{")], {}
    for field in ("ask", *fields):
        read += encode(f' "{field}": "')
        # A text of no characters is a token, and a missing one ends at once.
        value = [EOS] if row[field] == "" else encode(row[field] or "")
        short = field != "ask" and len(value) < widest[field]
        counted[field] = range(len(read), len(read) + len(value) + short)
        read += [*value, quote, *encode(",")]
    with torch.no_grad():
        logits = copy.deepcopy(module).double()(torch.tensor([read])).logits[0]
    nats = -logits.log_softmax(-1)
    return [sum(float(nats[place - 1, read[place]]) for place in counted[field]) for field in ("a", "b")]


def test_docstring_examples(doctests):
    doctests(language_model)


@pytest.mark.parametrize("config", [gpt2(), llama()], ids=["gpt2", "llama"])
def test_losses_are_those_of_records_read_one_by_one(config):
    learner, tokens = LanguageModel(config, tokenizer=TOKENIZER), tokens_of(records())
    module = made(learner, tokens)
    orders = [[0, 1], [1, 0], [1, 0], [0, 1], [1, 0]]
    batch = in_orders(tokens, orders)
    widest = {
        name: max(len(TOKENIZER.encode(row[name] or "", add_special_tokens=False)) for row in ROWS)
        for name in "ab"
    }
    wanted = [
        by_hand(module, row, ["ab"[step] for step in order], widest)
        for row, order in zip(ROWS, orders, strict=True)
    ]
    with torch.no_grad():
        found = learner.step_loss(module, batch)
        by_place = learner.losses(module, batch)
        looked, _ = learner.look(module, batch)
    assert found.numpy() == pytest.approx(np.array(wanted), rel=1e-4)
    canonical = torch.empty_like(by_place).scatter(1, batch.columns, by_place)
    assert tokens.by_step(canonical).numpy() == pytest.approx(np.array(wanted), rel=1e-4)
    assert torch.equal(looked, by_place)


def test_a_row_loses_the_same_whoever_stands_beside_it():
    learner, tokens = LanguageModel(llama(), tokenizer=TOKENIZER), tokens_of(records())
    module = made(learner, tokens)
    with torch.no_grad():
        together = learner.step_loss(module, in_orders(tokens, [[0, 1]] * 5))
        alone = [
            learner.step_loss(module, tokens.batch(torch.tensor([row]), tokens.column_orders(np.array([[0, 1]]))))
            for row in range(5)
        ]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-4)


def test_parts_that_fit_in_memory_lose_what_the_whole_loses(monkeypatch):
    learner, tokens = LanguageModel(gpt2(), tokenizer=TOKENIZER), tokens_of(records())
    module, batch = made(learner, tokens), in_orders(tokens, [[1, 0]] * 5)
    with torch.no_grad():
        whole = learner.losses(module, batch)
        monkeypatch.setattr(language_model, "BYTES_AT_ONCE", {"cpu": 1})
        assert learner.rows_at_once(tokens) == 1
        assert torch.allclose(whole, learner.losses(module, batch), rtol=1e-4)


def test_the_order_says_what_is_seen():
    """The first step written loses the same whatever the other holds; the second does not."""
    other = [{**row, "b": "two"} for row in ROWS]
    data = records([*ROWS, *other])
    learner, tokens = LanguageModel(gpt2(), tokenizer=TOKENIZER), tokens_of(data)
    module = made(learner, tokens)
    with torch.no_grad():
        first = learner.step_loss(module, in_orders(tokens, [[0, 1]] * 10))[:, 0]
        second = learner.step_loss(module, in_orders(tokens, [[1, 0]] * 10))[:, 0]
    assert torch.allclose(first[:5], first[5:], rtol=1e-4)
    assert (second[:5] - second[5:]).abs().min() > 1e-3


def test_weights_of_steps_weigh_columns():
    learner, tokens = LanguageModel(gpt2(), tokenizer=TOKENIZER), tokens_of(records())
    module, batch = made(learner, tokens), in_orders(tokens, [[1, 0]] * 5)
    weights = torch.tensor([2.0, 5.0])[tokens.step_of_column]
    with torch.no_grad():
        weighed, steps = learner.losses(module, batch, weights), learner.step_loss(module, batch)
    assert torch.allclose(weighed.sum(1), 2 * steps[:, 0] + 5 * steps[:, 1], rtol=1e-4)


def test_ids_that_are_numbered_anew_are_the_same_texts():
    """The explorer numbers the tokens that occur from 0 on."""
    data = records()
    some = data.select([0, 1])
    learner, tokens = LanguageModel(gpt2(), tokenizer=TOKENIZER), tokens_of(some)
    compact = tokens.compact()
    assert compact.vocabulary_size < tokens.vocabulary_size
    module = made(learner, tokens)
    with torch.no_grad():
        losses = [learner.step_loss(module, in_orders(one, [[0, 1]] * 2)) for one in (tokens, compact)]
    assert torch.equal(*losses)


def test_a_given_model_stays_as_it_is():
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(gpt2()).eval()
    model.transformer.wpe.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    data = records(ROWS * 4)
    learner = LanguageModel(model, tokenizer=TOKENIZER)
    fitted = pyorder.fit(data, [1, 0], test=data, model=learner, steps=2, batch_size=4, learning_rate=0.1)
    assert not model.training
    assert [not one.requires_grad for one in model.parameters()].count(True) == 1
    assert all(one.grad is None for one in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(fitted.model.transformer.wte.weight, model.transformer.wte.weight)
    assert torch.equal(fitted.model.transformer.wpe.weight, model.transformer.wpe.weight)


@pytest.mark.parametrize("explores", [True, False])
def test_it_explores_or_leaves_that_to_the_built_in_model(monkeypatch, explores):
    """Either way it ranks the candidates."""
    built, build = [], AnyOrderLearner.build
    monkeypatch.setattr(AnyOrderLearner, "build", lambda self, shape: built.append(shape) or build(self, shape))
    learner = LanguageModel(gpt2(), tokenizer=TOKENIZER, explores=explores)
    data, brief = records(ROWS * 10), Precedence(rounds=1, samples=8, racers=0)
    found = pyorder.discover(data, validation=data, model=learner, strategy=brief, steps=1, batch_size=8)
    assert bool(built) is not explores
    assert {stage.profile.settings["model"] for stage in found.history} == {"gpt2"}


def test_a_saved_folder_loses_what_its_model_loses(tmp_path, capfd):
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(llama())
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    capfd.readouterr()
    state = torch.get_rng_state()
    from_folder, given = LanguageModel(tmp_path), LanguageModel(model, tokenizer=TOKENIZER)
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    tokens = tokens_of(records(tokenizer=tmp_path))
    batch = in_orders(tokens, [[0, 1]] * 5)
    with torch.no_grad():
        losses = [one.step_loss(made(one, tokens), batch) for one in (from_folder, given)]
    assert torch.equal(*losses)


def test_random_weights_are_those_of_the_seed():
    learner, tokens = LanguageModel(gpt2(), tokenizer=TOKENIZER), tokens_of(records())
    one, same, other = (made(learner, tokens, seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("config", [gpt2(), llama()], ids=["gpt2", "llama"])
def test_what_is_remembered_writes_what_whole_passes_write(config):
    """With spans that end at different places in different rows, as they do where tokens are drawn."""
    learner, tokens = LanguageModel(config, tokenizer=TOKENIZER), tokens_of(records(ROWS * 3))
    module = made(learner, tokens)

    class Recomputing(LanguageModel):
        continuing = Learner.continuing

    slow = Recomputing(config, tokenizer=TOKENIZER)
    for order in ([0, 1], [1, 0]):
        order = np.array(order)
        found = [generate(one, module, tokens, order, torch.float32, at_random(0, CPU)) for one in (learner, slow)]
        assert torch.equal(*found)
        assert (found[0] == -100).any()


def test_what_is_written_are_records():
    data = records(ROWS * 10)
    learner = LanguageModel(gpt2(), tokenizer=TOKENIZER)
    numbers = {"steps": 60, "batch_size": 16, "learning_rate": 5e-3}
    fitted = pyorder.fit(data, [1, 0], test=data, validation=data, model=learner, **numbers)
    assert fitted.success_rate > 0.7
    written = data.to_records(fitted.predict(data.inputs))
    assert [set(row) for row in written] == [{"a", "b"}] * 50
    again = pyorder.profile(data, [[1, 0], [0, 1]], validation=data, model=learner, **numbers)
    assert again.loss.max() < 5.0


def test_a_final_training_is_read_back(tmp_path):
    data = records(ROWS * 4)
    learner = LanguageModel(gpt2(), tokenizer=TOKENIZER)
    fitted = pyorder.fit(data, [1, 0], test=data, model=learner, steps=2, batch_size=4, run_dir=tmp_path / "run")
    again = pyorder.Fitted.load(tmp_path / "run", model=learner)
    assert np.array_equal(again.log_likelihood(data), fitted.log_likelihood(data))


@pytest.mark.filterwarnings("ignore")  # those of peft
def test_adapters_alone_are_trained():
    pytest.importorskip("peft")
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(gpt2())
    learner, data = LanguageModel(model, tokenizer=TOKENIZER, lora=2), records(ROWS * 4)
    fitted = pyorder.fit(data, [1, 0], test=data, model=learner, steps=3, batch_size=4)
    assert all("lora_" in name for name, one in fitted.model.named_parameters() if one.requires_grad)
    base = dict(model.named_parameters())
    kept = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): one
        for name, one in fitted.model.named_parameters()
        if "lora_" not in name
    }
    assert kept.keys() == base.keys()
    assert all(torch.equal(kept[name], base[name]) for name in base)
    moved = [one for name, one in fitted.model.named_parameters() if "lora_B" in name]
    assert all(one.abs().max() > 0 for one in moved)  # adapters begin at zero
    trained = sum(one.numel() for one in fitted.model.parameters() if one.requires_grad)
    assert f" parameters, {trained:,} of them trained, " in learner.describe(data)


def test_it_says_what_it_takes():
    said = LanguageModel(gpt2(), tokenizer=TOKENIZER).describe(records())
    count = sum(one.numel() for one in transformers.GPT2LMHeadModel(gpt2()).parameters())
    assert said.startswith(f"gpt2: {count:,} parameters, all trained, some {16 * count / 2**20:.1f} MiB a model")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r'^model: peft is needed: pip install "pyorder\[lora\]"$'):
        LanguageModel(gpt2(), tokenizer=TOKENIZER, lora=4)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'^model: transformers is needed: pip install "pyorder\[hf\]"$'):
        LanguageModel("folder")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3,), TypeError, "^model: expected a folder, a configuration or a model of transformers, got int$"),
        (
            ("/nowhere",),
            InputError,
            "^model: expected a folder that holds a causal language model, got '/nowhere'$",
        ),
        ((gpt2(),), TypeError, "^tokenizer: expected the model's, got None$"),
    ],
)
def test_what_is_no_language_model_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        LanguageModel(*arguments)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^model: '.*' holds none: [^\n]*$"):
        LanguageModel(tmp_path)


def test_a_model_that_writes_nothing_is_refused():
    data = records()
    learner = LanguageModel(transformers.GPT2Model(gpt2()), tokenizer=TOKENIZER)
    with pytest.raises(InputError, match="^model: expected a causal language model, got GPT2Model$"):
        pyorder.fit(data, [0, 1], test=data, model=learner)


OTHER = byte_tokenizer(words=("olleh owt 21 olleh owt 21",))
BARE = byte_tokenizer(special=())


@pytest.mark.parametrize(
    ("config", "tokenizer", "data", "message"),
    [
        (
            gpt2(n_positions=20),
            TOKENIZER,
            records(),
            "^model: it reads 20 tokens at most, and the longest record ",
        ),
        (
            gpt2(vocab_size=90),
            TOKENIZER,
            records(),
            "^tokenizer: it has a token [0-9]+, and the model 90 of them$",
        ),
        (gpt2(), OTHER, records(), "^tokenizer: token [0-9]+ is '.*' to the model's and '.*' in the data; give "),
        (gpt2(), TOKENIZER, records(tokenizer=None), "^model: the texts of the data are characters; give Dataset"),
        (
            gpt2(),
            TOKENIZER,
            pyorder.Dataset([[1]], [[1, 2]]),
            "^model: a language model reads records of text, and ",
        ),
        (gpt2(), BARE, records(tokenizer=BARE), "^tokenizer: no token is left that stands for a text of no char"),
        (
            gpt2(),
            BARE,
            records([{"ask": "a", "a": '"', "b": "c"}], tokenizer=BARE),
            "^tokenizer: no token is left that ends a value: neither the quote",
        ),
    ],
)
def test_data_that_it_cannot_read_is_refused_before_any_work(config, tokenizer, data, message):
    learner = LanguageModel(config, tokenizer=tokenizer)
    calls = [
        lambda: pyorder.fit(data, [0, 1], test=data, model=learner),
        lambda: pyorder.profile(data, [[0, 1]], validation=data, model=learner),
        lambda: learner.describe(data),
    ]
    for call in calls:
        with pytest.raises(InputError, match=message) as refused:
            call()
        assert "\n" not in str(refused.value)


def test_a_key_that_does_not_come_back_is_refused():
    class Small:
        """Knows letters and digits, and writes anything else as a question mark."""

        def encode(self, text):
            return [ord(letter) if letter.isalnum() else ord("?") for letter in text]

        def decode(self, tokens):
            return "".join(map(chr, tokens))

    data = pyorder.Dataset.from_records([{"a": "1", "b": "2"}], tokenizer=Small())
    with pytest.raises(InputError, match="^tokenizer: .* comes back as "):
        pyorder.profile(data, [[0, 1]], validation=data, model=LanguageModel(gpt2(), tokenizer=Small()))


def test_texts_with_quotes_end_in_a_special_token():
    data = records([{"ask": "a", "a": 'say "hi"', "b": "c"}, {"ask": "b", "a": "no", "b": "d"}])
    tokens = tokens_of(data)
    split = LanguageModel(gpt2(), tokenizer=TOKENIZER).splitter
    laid = layout.Layout(tokens.schema, tokens.values, split, CPU)
    batch = in_orders(tokens, [[0, 1]] * 2)
    written = laid.write(batch.inputs, tokens.filled(batch.targets), batch.order)
    assert [TOKENIZER.decode(row[shown]) for row, shown in zip(written.tokens, written.shown, strict=True)] == [
        '<eos>{ "ask": "a<eos>, "a": "say "hi"<eos>, "b": "c',
        '<eos>{ "ask": "b<eos>, "a": "no<eos>, "b": "d',
    ]


def test_what_is_read_is_json():
    """But for missing values and texts of no characters, which no other text is told apart from."""
    data = records(ROWS[:2] + ROWS[3:4])
    tokens = tokens_of(data)
    laid = layout.Layout(tokens.schema, tokens.values, LanguageModel(gpt2(), tokenizer=TOKENIZER).splitter, CPU)
    batch = in_orders(tokens, [[1, 0]] * 3)
    written = laid.write(batch.inputs, tokens.filled(batch.targets), batch.order)
    for row, shown, record in zip(written.tokens, written.shown, data.to_records(), strict=True):
        text = TOKENIZER.decode(row[shown]).removeprefix("<eos>").removesuffix('"')
        assert json.loads(text + '"}') == record
