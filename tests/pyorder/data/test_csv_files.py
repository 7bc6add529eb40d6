"""What a CSV file has to be, and what is said of one that is not."""

import pytest

from pyorder.data.dataset import Dataset
from pyorder.errors import InputError

pytest.importorskip("pyarrow")

NAMES_FIRST = "the first line of a table has to be the names of its columns, got the numbers "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,200,300\n1,2,3\n2,3,3\n", NAMES_FIRST + "0"),
        ("1,1,2.5\n1,2,3\n", NAMES_FIRST + "1, 1, 2.5"),
        ("1e3, -2,,\n1,2,3,4\n", NAMES_FIRST + "1e3,"),
        ("0,2,1\n0,5,6\n1,6,5\n", NAMES_FIRST + "0, 2, 1"),
        ("a;b;c\n1;2;3\n", "looks separated by ';', and commas are needed, got 'a;b;c'"),
        ("a;b\n1,5;2,5\n", "looks separated by ';', and commas are needed, got 'a;b'"),
        ("a\tb\n1\t2\n", "looks separated by tabs, and commas are needed, got 'a"),
        ("gr\u00f6\u00dfe,b\n1,2\n".encode("latin-1"), "the names of its columns are not in UTF-8, which is"),
    ],
)  # fmt: skip
def test_what_looks_like_no_csv_with_names_is_refused_by_file(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        Dataset.from_table(path)
    assert str(raised.value).startswith(repr(str(path)))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("header", ["a,1", "2020,b;c", "x1,0", "'1',\t2", "0,1"])
def test_names_may_hold_digits_and_other_separators(tmp_path, header):
    (path := tmp_path / "mine.csv").write_text(f"{header}\n1,2\n2,2\n")
    assert Dataset.from_table(path).names == tuple(map(str.strip, header.split(",")))


def test_text_in_another_encoding_is_said_to_be(tmp_path):
    (path := tmp_path / "mine.csv").write_bytes("city,b,c\nK\u00f6ln,1,2\nUlm,2,1\nUlm,2,2\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"^column 'city': .*text of a CSV file has to be in UTF-8"):
        Dataset.from_table(path)
    assert Dataset.from_table(path, targets=["b", "c"]).names == ("b", "c")


@pytest.mark.parametrize("empty", ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "n/a"])
def test_what_counts_as_missing_in_a_file(tmp_path, empty):
    (path := tmp_path / "mine.csv").write_text(f"n,text\n1,{empty}\n2,x\n{empty},None\n1,x\n")
    told = [tuple(row.values()) for row in Dataset.from_table(path).to_records()]
    assert told == [(1, None), (2, "x"), (None, "None"), (1, "x")]
