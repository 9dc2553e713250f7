"""Texts from files: parquet, CSV or JSON lines with a column of texts and one of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.data.hub import own_names, stored_names
from unlearnable.data.shards import find_split
from unlearnable.data.targets import read_labels
from unlearnable.data.text import TextDataModule

_SUFFIXES = (".csv", ".jsonl")


class TextFiles(TextDataModule):
    """A text classification set in files, by the names of its splits.

    Args:
        data_dir: Folder with a file a split, `<split>.csv`, `<split>.jsonl` or the hub's parquet files.
        text_column: The column of the texts.
        label_column: The column of the labels: whole numbers, or names of classes.
        train: Name of the training split.
        test: Name of the split that is tested on, which must have labels.
        **options: See `TextDataModule`.

    Raises:
        FileNotFoundError: if the folder or a split is not there.
        ValueError: if a file cannot be read, has other columns, no texts or wrong labels; the message names the file.
    """

    def __init__(
        self,
        data_dir: str | Path,
        *,
        text_column: str = "text",
        label_column: str = "label",
        train: str = "train",
        test: str = "test",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.text_column, self.label_column = text_column, label_column
        folder = Path(data_dir).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"`dataset.data_dir` = {folder}: there is no such folder.")
        self.train_files, self.test_files = (_files_of(folder, split) for split in (train, test))

    @override
    def texts(self) -> tuple[tuple[Sequence[str], Int64[Tensor, " n"]], tuple[Sequence[str], Int64[Tensor, " m"]]]:
        tables = [[self._read(file) for file in files] for files in (self.train_files, self.test_files)]
        pairs = zip(self.train_files, tables[0], strict=True)
        labels = [value for file, table in pairs for value in _values(file, table, self.label_column)]
        names = stored_names(tables[0][0].schema, self.label_column) or own_names(labels)
        self.class_names = tuple(names)
        train, test = (
            self._split(files, read) for files, read in zip((self.train_files, self.test_files), tables, strict=True)
        )
        return train, test

    def _read(self, file: Path) -> Any:
        """Arrow's table of the two columns."""
        import pyarrow as pa

        try:
            table = _READERS[file.suffix](file)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"{file} cannot be read as {file.suffix[1:]} ({str(error).splitlines()[0]}). It is corrupt or incomplete, "
                "or not in UTF-8."
            ) from error
        if absent := [name for name in (self.text_column, self.label_column) if name not in table.schema.names]:
            raise ValueError(
                f"{file} has no column {absent[0]!r}, but {table.schema.names}. Give dataset.text_column and "
                "dataset.label_column."
            )
        return table

    def _split(self, files: Sequence[Path], tables: Sequence[Any]) -> tuple[list[str], Int64[Tensor, " n"]]:
        texts: list[str] = []
        labels: list[Any] = []
        places: list[tuple[Path, int]] = []
        for file, table in zip(files, tables, strict=True):
            for row, text in enumerate(_values(file, table, self.text_column)):
                if not isinstance(text, str):
                    raise ValueError(f"{file}, column {self.text_column!r}, row {row}: {text!r} is no text.")
                if not text.strip():
                    raise ValueError(f"{file}, column {self.text_column!r}, row {row}: the text is empty.")
                texts.append(text)
                places.append((file, row))
            labels += _values(file, table, self.label_column)
        if not texts:
            raise ValueError(f"{', '.join(map(str, files))}: there are no rows.")

        def where(row: int) -> str:
            return f"{places[row][0]}, column {self.label_column!r}, row {places[row][1]}"

        return texts, read_labels(labels, self.class_names, where=where)


def _values(file: Path, table: Any, column: str) -> list[Any]:
    """A column as Python's values."""
    try:
        values: list[Any] = table[column].to_pylist()
        for value in values:
            if isinstance(value, bytes):  # what the reader of CSV makes of what it cannot decode
                value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}, column {column!r}, is not in UTF-8 ({error.reason}): convert it.") from error
    return values


def _files_of(folder: Path, split: str) -> list[Path]:
    """The one file of a split, or its parquet files."""
    found = find_split(folder, split)
    single = [path for suffix in _SUFFIXES if (path := folder / f"{split}{suffix}").is_file()]
    if len(single) + bool(found) > 1:
        raise ValueError(
            f"{folder} has the split {split!r} more than once: {', '.join(path.name for path in (*single, *found))}."
        )
    if not single and not found:
        there = sorted(path.name for path in folder.iterdir())
        raise FileNotFoundError(
            f"`dataset.data_dir` = {folder} has no {split}.csv, {split}.jsonl or {split}*.parquet, but "
            f"{', '.join(there[:8]) or 'nothing'}{', …' if len(there) > 8 else ''}. dataset.train and dataset.test name "
            "the splits."
        )
    return single or found


def _parquet(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(file)


def _csv(file: Path) -> Any:
    from pyarrow import csv

    # A text may have line breaks between quotes.
    return csv.read_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True))


def _jsonl(file: Path) -> Any:
    from pyarrow import json

    return json.read_json(file, parse_options=json.ParseOptions(newlines_in_values=False))


_READERS = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
