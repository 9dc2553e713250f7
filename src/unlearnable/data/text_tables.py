"""Tables with texts in files: parquet, CSV or JSON lines, read so that every fault has its file and its row."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from unlearnable.data.hub import stored_names
from unlearnable.data.shards import find_split

_NUMBER = re.compile(r"\s*[-+]?\d+(\.\d*)?\s*")
_LONGEST = 2**31 - 1  # characters of a field in a CSV file, of which the reader would take 131,072


@dataclass(frozen=True)
class Table:
    """Columns of a file.

    Attributes:
        file: The file.
        columns: Name → values, as Python's.
        class_names: Names of classes that `datasets` wrote to a parquet file: column → names.
        typed: Whether numbers are numbers; in CSV all is text.
    """

    file: Path
    columns: Mapping[str, Sequence[Any]]
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    typed: bool = True

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def place(self, column: str, row: int) -> str:
        """Where a value lies, for messages; rows are counted from 0, without the line of names."""
        return f"{self.file}, column {column!r}, row {row}"

    def texts(self, column: str) -> list[str]:
        """A column of texts.

        Raises:
            ValueError: naming the first that is empty, or no text.
        """
        for row, text in enumerate(self.columns[column]):
            if not isinstance(text, str):
                raise ValueError(f"{self.place(column, row)}: {shortened(text)} is no text.")
            if not text.strip():
                raise ValueError(f"{self.place(column, row)}: the text is empty.")
        return list(self.columns[column])

    def labels(self, column: str) -> list[Any]:
        """A column of labels: where all is text, what looks like a number is one, and an empty one None."""
        values = self.columns[column]
        return list(values) if self.typed else [_number(value) for value in values]


def split_files(folder: Path, split: str, *, option: str, hint: str = "") -> list[Path]:
    """The one file of a split, `<split>.csv` or `<split>.jsonl`, or its parquet files.

    Args:
        folder: Where.
        split: Its name.
        option: The option that names the folder, for the message.
        hint: What else the message is to say.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if there are several.
    """
    found = find_split(folder, split)
    single = [path for suffix in (".csv", ".jsonl") if (path := folder / f"{split}{suffix}").is_file()]
    if len(single) + bool(found) > 1:
        raise ValueError(
            f"{folder} has the split {split!r} more than once: {', '.join(path.name for path in (*single, *found))}."
        )
    if not single and not found:
        there = sorted(path.name for path in folder.iterdir())
        raise FileNotFoundError(
            f"`{option}` = {folder} has no {split}.csv, {split}.jsonl or {split}*.parquet, but "
            f"{', '.join(there[:8]) or 'nothing'}{', …' if len(there) > 8 else ''}. {hint}".rstrip()
        )
    return single or found


def read_table(
    file: Path, columns: Sequence[str], *, optional: Sequence[str] = (), options: str, form: str | None = None
) -> Table:
    """Reads some columns of a file.

    Args:
        file: The file.
        columns: Those that must be there.
        optional: Those that are read if they are there.
        options: The options that name the columns, for the message.
        form: One of `FORMS`; None takes the file's suffix.

    Raises:
        ValueError: if the file is broken, is not in UTF-8, or has no such columns; the message has the file and the line.
    """

    def chosen(names: Sequence[str]) -> list[str]:
        if not names:
            raise ValueError(f"{file} is empty.")
        if absent := [name for name in columns if name not in names]:
            raise ValueError(f"{file} has no column {absent[0]!r}, but {list(names)}. Give {options}.")
        found = [name for name in (*columns, *optional) if name in names]
        if twice := [name for name in found if Counter(names)[name] > 1]:
            raise ValueError(f"{file} has the column {twice[0]!r} more than once: {list(names)}. Rename one.")
        return found

    return _READERS[form or file.suffix[1:]](file, chosen)


_Chosen = Callable[[Sequence[str]], list[str]]


def _parquet(file: Path, chosen: _Chosen) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        names = chosen(schema.names)
        table: Any = pq.read_table(file, columns=names)
        values = {name: table[name].to_pylist() for name in names}
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as parquet ({str(error).splitlines()[0]}). It is corrupt or incomplete."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} has a text that is not in UTF-8 ({error.reason}): convert it.") from error
    return Table(file, values, {name: stored for name in names if (stored := stored_names(schema, name))})


def _csv(file: Path, chosen: _Chosen) -> Table:
    limit = csv.field_size_limit(_LONGEST)
    # Strict: a quote that is not closed would swallow the rest of the file otherwise.
    reader = csv.reader((line for _, line in _lines(file)), strict=True)
    try:
        header = next(reader, [])
        names = chosen(header)
        values: dict[str, list[str]] = {name: [] for name in names}
        places = [header.index(name) for name in names]
        for row in reader:
            if not row:  # an empty line
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{file}, line {reader.line_num}: {len(row)} fields for {len(header)} columns "
                    f"({', '.join(header)}). A text with commas, quotes or line breaks must stand in quotes."
                )
            for name, place in zip(names, places, strict=True):
                values[name].append(row[place])
    except csv.Error as error:
        raise ValueError(
            f"{file}, line {reader.line_num}: {error}. A text with quotes must stand in quotes, with its own doubled, and "
            "each quote must be closed."
        ) from error
    finally:
        csv.field_size_limit(limit)
    return Table(file, values, typed=False)


def _jsonl(file: Path, chosen: _Chosen) -> Table:
    names: list[str] = []
    values: dict[str, list[Any]] = {}
    for number, line in _lines(file):
        if not line.strip():
            continue
        try:
            found = json.loads(line.strip(), object_pairs_hook=_without_copies)
        except (ValueError, RecursionError) as error:
            fault = f"{error.msg}, character {error.colno}" if isinstance(error, json.JSONDecodeError) else error
            raise ValueError(f"{file}, line {number} is no line of JSON ({fault}).") from error
        if not isinstance(found, dict):
            raise ValueError(
                f'{file}, line {number}: each line must be an object, as {{"text": "a film", "label": 1}}; got '
                f"{shortened(found)}."
            )
        if not names:
            names = chosen(list(found))
            values = {name: [] for name in names}
        if absent := [name for name in names if name not in found]:
            raise ValueError(f"{file}, line {number} has no {absent[0]!r}, but {list(found)}.")
        for name in names:
            values[name].append(found[name])
    if not names:
        chosen([])
    return Table(file, values)


def _without_copies(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a name stands twice in {[name for name, _ in pairs]}")
    return found


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Each line of a UTF-8 file with its number, from 1; a byte order mark is left out."""
    with file.open("rb") as content:
        for number, line in enumerate(content, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{file}, line {number} is not in UTF-8 ({error.reason}, byte {line[error.start]:#04x}): convert it."
                ) from error
            if "\0" in text:
                raise ValueError(f"{file}, line {number} has a NUL character, so it is no text in UTF-8: convert it.")
            yield number, text


def _number(text: str) -> Any:
    if not text.strip():
        return None
    if text.strip().lower() == "nan":
        return float("nan")
    found = _NUMBER.fullmatch(text)
    return text if found is None else float(text) if found[1] else int(text)


_READERS: dict[str, Callable[[Path, _Chosen], Table]] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}
#: Which files can be read: lines of JSON objects, CSV with a line of names, parquet.
FORMS = tuple(_READERS)
