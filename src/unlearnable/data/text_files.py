"""Texts from files: parquet, CSV or JSON lines with a column of texts and one of labels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.data.hub import own_names
from unlearnable.data.targets import check_named_alike, file_labels
from unlearnable.data.text import TextDataModule
from unlearnable.data.text_tables import Table, read_table, split_files


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
        if text_column == label_column:
            raise ValueError(f"`dataset.text_column` and `dataset.label_column` are both {text_column!r}.")
        self.text_column, self.label_column = text_column, label_column
        folder = Path(data_dir).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(f"`dataset.data_dir` = {folder}: there is no such folder.")
        more = {"option": "dataset.data_dir", "hint": "dataset.train and dataset.test name the splits."}
        self.train_files, self.test_files = (split_files(folder, split, **more) for split in (train, test))

    @override
    def texts(self) -> tuple[tuple[Sequence[str], Int64[Tensor, " n"]], tuple[Sequence[str], Int64[Tensor, " m"]]]:
        train, test = ([self._read(file) for file in files] for files in (self.train_files, self.test_files))
        names = self._names(train[0])
        if not names:
            where = f"{', '.join(map(str, self.train_files))}, column {self.label_column!r}"
            names = own_names([label for table in train for label in self._labels(table)], where=where)
            check_named_alike(
                [(table.file, self._labels(table), self._names(table)) for table in (*train, *test)], names
            )
        self.class_names = tuple(names)
        return self._split(train), self._split(test)

    def _read(self, file: Path) -> Table:
        columns = (self.text_column, self.label_column)
        table = read_table(file, columns, options="dataset.text_column and dataset.label_column")
        if not len(table):
            raise ValueError(f"{file}: there are no rows.")
        return table

    def _labels(self, table: Table) -> list[Any]:
        return table.labels(self.label_column)

    def _names(self, table: Table) -> Sequence[str]:
        """The names that a file has for its numbers."""
        return table.class_names.get(self.label_column, ())

    def _split(self, tables: Sequence[Table]) -> tuple[list[str], Int64[Tensor, " n"]]:
        texts = [text for table in tables for text in table.texts(self.text_column)]
        labels = [
            file_labels(
                self._labels(table),
                self.class_names,
                stored=self._names(table),
                where=partial(table.place, self.label_column),
            )
            for table in tables
        ]
        return texts, torch.cat(labels)
