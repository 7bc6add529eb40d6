"""The corpus of the fuzz target: known attacks, and sound files; tests/fuzz/run looks for more."""

from pathlib import Path

import pytest
import safetensors

from pyorder._core import safetensors as core

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


ATTACKS, SOUND = ([path for path in CORPUS if path.name.startswith("whole-") is sound] for sound in (False, True))
OF_NUMPY = {"BOOL", "U8", "I8", "U16", "I16", "F16", "U32", "I32", "F32", "U64", "I64", "F64", "C64"}


def named(path):
    return path.name


@pytest.mark.parametrize("path", SOUND, ids=named)
def test_a_sound_file_is_read_as_by_the_official_package(path):
    theirs = dict(safetensors.deserialize(path.read_bytes()))
    listed = core.list(path)
    assert listed == {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in theirs.items()}
    arrays, metadata = core.read(path, [name for name, (dtype, _) in listed.items() if dtype in OF_NUMPY])
    assert all(array.tobytes() == bytes(theirs[name]["data"]) for name, array in arrays.items())
    with safetensors.safe_open(path, "np") as file:
        assert metadata == (file.metadata() or {})


@pytest.mark.parametrize("path", ATTACKS, ids=named)
def test_an_attack_is_refused_in_one_line(path):
    with pytest.raises(ValueError, match="^cannot read ") as error:
        core.read(path)
    assert type(error.value) is ValueError
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_the_corpus_holds_attacks_and_sound_files():
    assert len(SOUND) >= 8
    assert len(ATTACKS) >= 80
