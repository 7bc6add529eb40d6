from dataclasses import replace

import numpy as np
import pytest
import torch

import pyorder
from pyorder.data.files import read_safetensors
from pyorder.data.tokens import Tokens
from pyorder.models.learner import AnyOrderLearner, CustomLearner, DecoderLearner
from pyorder.training.generation import generate
from pyorder.training.presets import PRESETS
from pyorder.training.validation import Validation


def test_docstring_examples(doctests):
    doctests("pyorder.training.fit")


@pytest.fixture(scope="module")
def fitted(square5):
    return pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, model="nano", steps=500)


def test_the_forward_order_is_learned_and_its_reverse_is_not(fitted, square5):
    reverse = pyorder.fit(square5.train, [4, 3, 2, 1, 0], test=square5.test, model="nano", steps=500)
    assert fitted.success_rate > reverse.success_rate + 0.4
    # In reverse every step must be guessed; the first input alone gives step 0.
    assert reverse.step_accuracy[0] == pytest.approx(1.0, abs=0.05)
    assert reverse.step_accuracy[1:4].max() < fitted.step_accuracy[1:4].min()


def test_success_is_what_prediction_gives(fitted, square5):
    predicted = fitted.predict(square5.test.inputs)
    right = predicted == square5.test.targets
    assert np.array_equal(right.all(1), fitted.success)
    np.testing.assert_allclose(right.mean(0), fitted.step_accuracy)


def test_generation_is_greedy(fitted, square5):
    """Slot by slot from plain forward passes, without the remembered keys and values."""
    tokens = Tokens.of(
        square5.test.select(range(50)), "test", torch.device("cpu"), (fitted.vocabulary, fitted.schema)
    )
    emitted = torch.zeros(50, 5, dtype=torch.long)
    with torch.no_grad():
        for slot in range(5):
            emitted[:, slot] = fitted.model(tokens.inputs.long(), emitted)[:, slot].argmax(-1)
    assert torch.equal(generate(fitted.learner, fitted.model, tokens, fitted.order, torch.float32), emitted)


def test_a_model_that_writes_in_no_order_is_refused_before_any_work(square5, monkeypatch):
    learner = AnyOrderLearner(PRESETS["nano"].architecture)
    monkeypatch.setattr(learner, "build", None)
    with pytest.raises(ValueError, match="^model: expected one that writes targets in an order, got any-order$"):
        pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, model=learner, steps=2)


def test_a_callers_module_generates_the_same(fitted, square5):
    class Wrapped(torch.nn.Module):
        def forward(self, inputs, emitted, order=None):
            return fitted.model(inputs, emitted)

    tokens = Tokens.of(square5.test, "test", torch.device("cpu"), (fitted.vocabulary, fitted.schema))
    ours = generate(CustomLearner(lambda *_: Wrapped()), Wrapped(), tokens, fitted.order, torch.float32)
    assert torch.equal(ours, generate(fitted.learner, fitted.model, tokens, fitted.order, torch.float32))


def test_step_accuracy_is_by_canonical_step(square5):
    order = np.array([3, 0, 4, 2, 1])
    shuffled = pyorder.fit(square5.train, order, test=square5.test, model="nano", steps=40)
    right = shuffled.predict(square5.test.inputs) == square5.test.targets
    np.testing.assert_allclose(right.mean(0), shuffled.step_accuracy)


def test_test_rows_that_belong_together_are_no_more_evidence_than_one(square5, tmp_path):
    """Each five times: by groups the intervals are as wide as without, to the degree that one group is missing."""
    test, groups = square5.test, len(square5.test)
    rows, right = np.tile(np.arange(groups), 5), np.random.default_rng(0).random(groups) < 0.7
    often = pyorder.Dataset(test.inputs[rows], test.targets[rows], groups=7 - rows, vocabulary=test.vocabulary)
    once, often = (
        replace(fitted, success=np.resize(right, len(fitted.success)))
        for fitted in (
            pyorder.fit(square5.train, range(5), test=data, model="nano", steps=10) for data in (test, often)
        )
    )
    low, high = once.success_interval
    assert often.success_interval == pytest.approx((low, high), abs=(high - low) / groups)
    assert often.row_loss_interval == pytest.approx(once.row_loss_interval, rel=1e-5)
    apart = replace(often, groups=None)
    assert np.ptp(apart.success_interval) < 0.5 * (high - low)
    assert np.ptp(apart.row_loss_interval) < 0.5 * np.ptp(once.row_loss_interval)
    assert (often.summary()["test_groups"], once.summary()["test_groups"]) == (groups, None)
    often.save(tmp_path / "run")
    assert pyorder.Fitted.load(tmp_path / "run").success_interval == often.success_interval


def test_the_loss_curve_falls_and_the_seed_fixes_it(square5):
    one, again = (
        pyorder.fit(square5.train, range(5), test=square5.test, model=PRESETS["nano"], steps=60) for _ in "ab"
    )
    assert np.array_equal(one.loss_curve, again.loss_curve)
    assert one.loss_curve[-10:].mean() < one.loss_curve[:5].mean() - 0.3


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, 1, 2, 3], "^order: "),
        ([0, 0, 1, 2, 3], "^order: "),
        (np.tile(np.arange(5), (2, 1)), "^order: expected shape"),
    ],
)
def test_what_is_no_order_is_refused(square5, order, message):
    with pytest.raises(ValueError, match=message):
        pyorder.fit(square5.train, order, test=square5.test)


def test_an_order_may_be_names_or_a_result():
    digits = np.random.default_rng(0).integers(0, 3, (20, 1))
    data = pyorder.Dataset(digits, np.tile(digits, 3), names=["sum", "sign", "rest"])
    fitted = pyorder.fit(data, ["rest", "sum", "sign"], test=data, model="nano", steps=1)
    assert fitted.order.tolist() == [2, 0, 1]
    assert fitted.step_names == ("sum", "sign", "rest")
    moved = data.reorder([1, 2, 0])
    assert pyorder.fit(moved, fitted, test=moved, model="nano", steps=1).names == ("rest", "sum", "sign")


def test_a_test_value_that_training_lacks_is_named(square5):
    train = pyorder.Dataset(square5.train.inputs, square5.train.targets)
    test = pyorder.Dataset(square5.test.inputs, square5.test.targets.astype(int) * 50)
    with pytest.raises(ValueError, match="test"):
        pyorder.fit(train, range(5), test=test)


def test_prediction_refuses_inputs_of_another_length(square5):
    fitted = pyorder.fit(square5.train, [0, 1, 2, 3, 4], test=square5.test, steps=1)
    for wrong in (np.zeros((2, 1), int), np.zeros((2, 6), int), np.zeros(5, int)):
        with pytest.raises(ValueError, match=r"^inputs: expected shape \(R, 5\)"):
            fitted.predict(wrong)


def test_validation_rows_are_looked_at_and_change_nothing(square5, tmp_path):
    order, settings = [3, 0, 4, 2, 1], {"model": "nano", "steps": 25, "precision": "float32", "seed": 3}
    alone = pyorder.fit(square5.train, order, test=square5.test, **settings)
    watched = pyorder.fit(
        square5.train,
        order,
        test=square5.test,
        validation=square5.validation,
        validate_every=10,
        run_dir=tmp_path / "run",
        **settings,
    )
    assert alone.validation_curve is None
    assert np.array_equal(alone.loss_curve, watched.loss_curve)
    curve = watched.validation_curve
    assert curve[:, 0].tolist() == [10, 20, 25]
    inputs, targets = (torch.from_numpy(part).long() for part in square5.validation.encode(watched.vocabulary))
    with torch.no_grad():
        chances = watched.model(inputs, targets[:, order]).double().log_softmax(-1)
    wanted = targets[:, order].long()
    assert curve[-1, 1] == pytest.approx(-chances.gather(2, wanted[..., None]).mean().item(), abs=1e-5)
    assert curve[-1, 2] == pytest.approx((chances.argmax(-1) == wanted).double().mean().item())
    kept = read_safetensors(tmp_path / "run" / "fit.safetensors")[0]
    np.testing.assert_array_equal(kept["validation_curve"], curve)


def test_the_weights_that_lost_least_are_kept():
    """Of targets that are noise nothing can be learned, and then the rows are learned by heart."""
    inputs, targets = np.random.default_rng(0).integers(20, size=(2, 600, 4))
    train, validation, test = pyorder.Dataset(inputs, targets).split((0.4, 0.3, 0.3), seed=0)
    last, best = (
        pyorder.fit(
            train,
            range(4),
            test=test,
            validation=validation,
            keep_best=keep,
            model="nano",
            steps=200,
            batch_size=32,
        )
        for keep in (False, True)
    )
    np.testing.assert_array_equal(best.loss_curve, last.loss_curve)
    steps, losses, _ = best.validation_curve.T
    assert losses.min() < losses[-1] - 0.1
    assert best.settings["kept_step"] == steps[losses.argmin()]
    assert -best.log_likelihood(validation).mean() / 4 == pytest.approx(losses.min(), abs=1e-5)
    assert -last.log_likelihood(validation).mean() / 4 == pytest.approx(losses[-1], abs=1e-5)
    assert best.row_loss < last.row_loss


def test_of_the_best_weights_those_that_learn_are_kept(square5):
    """Others are as they were; of a large model with few weights of its own that is most of it."""
    learner = DecoderLearner(PRESETS["nano"].architecture)
    tokens = Tokens.of(square5.validation, "validation", torch.device("cpu"))
    module = learner.build(tokens.shape)
    frozen, free = list(module.named_parameters())[:2]
    frozen[1].requires_grad_(False)
    kept = Validation(learner, module, tokens, np.arange(5), torch.float32, every=1, keep_best=True)
    kept.look(1, last=False)
    assert free[0] in kept.best[1]
    assert frozen[0] not in kept.best[1]
    before = free[1].detach().clone()
    with torch.no_grad():
        free[1].add_(1.0)
    kept.go_back()
    assert torch.equal(free[1], before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep_best": True}, "^keep_best: no validation rows"),
        ({"validation": pyorder.Dataset([[1, 2]], [[1, 2]])}, "^validation: "),
        ({"validate_every": 0}, "^validate_every: expected .* at least 1, got 0"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(square5, arguments, message):
    with pytest.raises(ValueError, match=message):
        pyorder.fit(square5.train, np.arange(5), test=square5.test, model="nano", steps=2, **arguments)


@pytest.mark.gpu
@pytest.mark.parametrize("preset", [PRESETS["base"], PRESETS["small"]])
def test_a_gpu_learns_what_a_cpu_learns(square5, preset):
    """Captured, as plain PyTorch (a caller's own module is never captured), and on a CPU."""
    preset = preset.but(dropout=0.0, steps=20, batch_size=32, precision="float32")
    recipe = preset.recipe
    captured, plain, on_cpu = (
        pyorder.fit(
            square5.train,
            [4, 0, 3, 1, 2],
            test=square5.test,
            validation=square5.validation,
            validate_every=7,  # between replays
            model=model,
            recipe=recipe,
            device=device,
        )
        for model, device in ((preset, "cuda"), (lambda *sizes: preset(*sizes), "cuda"), (preset, "cpu"))
    )
    assert on_cpu.loss_curve[-1] < on_cpu.loss_curve[0] - 0.02  # there is something to agree on
    for other, share in ((plain, 1e-3), (on_cpu, 1e-2)):
        np.testing.assert_allclose(captured.loss_curve, other.loss_curve, rtol=share)
        np.testing.assert_allclose(captured.step_loss, other.step_loss, rtol=share)
        np.testing.assert_allclose(captured.validation_curve[:, :2], other.validation_curve[:, :2], rtol=share)


@pytest.mark.gpu
def test_a_gpu_learns_steps_of_several_columns_with_gaps_as_a_cpu_does():
    rng = np.random.default_rng(0)
    inputs = rng.integers(5, size=(400, 3))
    targets = np.ma.array(np.concatenate([inputs, inputs[:, ::-1]], 1))
    targets[:, 1:2][rng.random((400, 1)) < 0.5] = np.ma.masked  # the first step is one or two columns
    data = pyorder.Dataset(inputs, targets, widths=(2, 1, 3))
    preset = PRESETS["nano"].but(steps=20, batch_size=32, precision="float32")
    on_gpu, on_cpu = (
        pyorder.fit(data, [2, 0, 1], test=data, model=preset, device=device) for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(on_gpu.loss_curve, on_cpu.loss_curve, rtol=1e-2)
    np.testing.assert_allclose(on_gpu.step_loss, on_cpu.step_loss, rtol=1e-2)
