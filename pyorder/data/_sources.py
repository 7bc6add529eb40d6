"""Where datasets come from and where they are kept; `pyorder.data.dataset` has the table of notation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyorder.data import _dataset_files, records, tables
from pyorder.data._described import Described
from pyorder.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from pyorder.data._rows import Rows

_RESERVED = {"vocabulary": "the argument vocabulary", "schema": "widths and names"}  # metadata, and what sets it


class Sourced(Described):
    """Rows of a table, of records or of a file, with what is known of them."""

    _metadata: dict[str, str]

    @property
    def metadata(self) -> dict[str, str]:
        """A copy of the metadata."""
        return dict(self._metadata)

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        inputs: Iterable[str] | None = None,
        targets: Iterable[str] | None = None,
        ignore: Iterable[str] | None = None,
        bins: int | Mapping[str, int] = tables.BINS,
        groups: str | None = None,
        like: Described | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a dataset of a table's columns; needs pyarrow (the extra ``table``).

        Text and truth values become categories, numbers and dates with more than ``bins`` different values bins
        with as many rows in each, and a missing value stays missing. Of columns that determine each other one to
        one the first is kept. `Schema.describe` says what became of each, `to_records` gives values back.

        Parameters
        ----------
        table : a path that ends in .csv or .parquet, an Arrow table, or a frame of pandas or polars
        inputs : columns that are given; none if not named
        targets : columns whose order is asked for; all others if not named
        ignore : columns to leave out, such as an id
        bins : most values or bins of a number or date, 2 or more; or by column
        groups : a column that says which rows belong together; no target unless it is named
        like : a dataset of another table, whose columns, bins and categories are taken

        Raises
        ------
        ImportError
            Without pyarrow.
        OSError
            When a file cannot be opened.
        TypeError, InputError
            For what is no table, unknown or doubled columns, free text, or fewer than 2 targets.

        Examples
        --------
        >>> import pyarrow
        >>> table = pyarrow.table({"age": [31, None, 5], "sex": ["f", "m", "m"], "alive": [True, False, True]})
        >>> data = Dataset.from_table(table, inputs=["sex"])
        >>> data.names, data.to_records()[1]
        (('age', 'alive'), {'sex': 'm', 'age': None, 'alive': False})
        """
        known = None if like is None else like.schema
        rows, declared, same = tables.rows_of_table(
            table, inputs=inputs, targets=targets, ignore=ignore, groups=groups, bins=bins, like=known
        )
        return cls._of(rows, declared, {**(metadata or {}), **same})

    @classmethod
    def from_records(
        cls,
        rows: Any,
        *,
        inputs: Iterable[str] | None = None,
        targets: Iterable[str] | None = None,
        ignore: Iterable[str] | None = None,
        tokenizer: Any = None,
        max_width: int = records.MAX_WIDTH,
        groups: str | None = None,
        like: Described | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Self:
        """Make a dataset of records: every field is text, as many columns wide as its longest text is.

        Text is taken as it is, anything else (numbers, truth values, lists, objects) as compact JSON. A key that
        is not there, null, or a number that is not finite is a missing value. A text that is shorter than the
        longest one of its field ends early. `Schema.describe` says what became of each field, `to_records` gives
        texts back.

        Parameters
        ----------
        rows : an iterable of mappings, such as a list of dicts or a dataset of Hugging Face, or a path that ends
            in .jsonl: a file with a JSON object on every line
        inputs : keys that are given; none if not named. Dots lead into objects: ``answer.value``
        targets : keys whose order is asked for; all others if not named, objects by what is inside of them
        ignore : keys to leave out, such as an id; objects with all that is inside of them
        tokenizer : characters if None; an object with ``encode(text)``, which gives ids, and ``decode(ids)``, such
            as a tokenizer of Hugging Face; or a folder that one is saved in (needs transformers). A file keeps the
            text of each token, not the tokenizer. Where a token is no text of its own, such as a part of a
            character's bytes, `to_records` of an opened file, and of a copy, therefore has a token's own
            rendering in its place, such as U+FFFD, and `Schema.describe` says so
        max_width : rows with more characters or tokens in a field are left out; the metadata ``left_out`` counts
            them
        groups : a key that says which rows belong together; no target unless it is named
        like : a dataset of other records, whose keys, alphabet and widths are taken (``max_width`` is not); if
            that has a tokenizer, give it again

        Raises
        ------
        ImportError
            For a folder of a tokenizer without transformers.
        OSError
            When a file cannot be opened.
        TypeError, InputError
            For what are no records, a broken line, unknown or doubled keys, fewer than 2 targets, no row that is
            left, a tokenizer that does not give a text back, or a character that ``like`` has not.

        Examples
        --------
        >>> rows = [{"ask": "2+3", "say": {"sum": 5, "odd": True}}, {"ask": "9+3", "say": {"sum": 12}}]
        >>> data = Dataset.from_records(rows, inputs=["ask"])
        >>> data.names, data.widths
        (('say.sum', 'say.odd'), (2, 4))
        >>> data.to_records()[1]
        {'ask': '9+3', 'say.sum': '12', 'say.odd': None}
        """
        read, declared, left_out = records.rows_of_records(
            rows,
            inputs=inputs,
            targets=targets,
            ignore=ignore,
            groups=groups,
            tokenizer=tokenizer,
            max_width=max_width,
            like=None if like is None else like.schema,
        )
        return cls._of(read, declared, {**(metadata or {}), **left_out})

    def save(self, path: str | PathLike[str]) -> None:
        """Write a safetensors file with the arrays ``inputs`` and ``targets``, all or nothing.

        Values take the smallest integer type that holds them. `lengths` and `inputs_missing`, the metadata, the
        declared vocabulary, the schema and the version of pyorder go along where there are any.

        Raises
        ------
        OSError
            When the directory or the disk refuses; what was there before is kept.

        Examples
        --------
        >>> import tempfile, os
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "mine.safetensors")
        ...     Dataset([[300, -2]], [[1, 2]], metadata={"source": "me"}).save(path)
        ...     data = Dataset.open(path)
        ...     data.inputs, data.targets.dtype, data.metadata["source"]
        (array([[300,  -2]], dtype=int16), dtype('int8'), 'me')
        """
        _dataset_files.save(path, self._rows, self._declared, self._metadata)

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Self:
        """Open a safetensors file that `save` wrote; more than 64 MiB are mapped into memory, not copied.

        A file that is mapped may be replaced, as `save` does, but must not be cut short while the data is in use:
        the process would end (`read_safetensors`).

        The array ``targets`` alone will do; without ``inputs`` there are none. Other arrays are passed over,
        unless their name looks like a misspelt one.

        Raises
        ------
        OSError
            When the file cannot be opened; FileNotFoundError when there is none.
        InputError
            When the file breaks the format, or what it holds is no dataset.

        Examples
        --------
        >>> Dataset.open("nowhere.safetensors")
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.safetensors'
        """
        return cls._of(*_dataset_files.open_safetensors(path))

    def _set(self, rows: Rows, declared: NDArray[np.int64] | None, metadata: Mapping[str, str]) -> None:
        self._rows, self._declared, self._metadata = rows, declared, dict(metadata)
        for key, text in self._metadata.items():
            if not isinstance(key, str) or not isinstance(text, str):
                raise TypeError(f"metadata: expected text for text, got {text!r} for {key!r}")
            if key in _RESERVED:
                raise InputError(f"metadata: the key {key!r} is reserved; give {_RESERVED[key]} instead")

    @classmethod
    def _of(cls, rows: Rows, declared: NDArray[np.int64] | None, metadata: Mapping[str, str]) -> Self:
        data = cls.__new__(cls)
        data._set(rows, declared, metadata)
        return data
