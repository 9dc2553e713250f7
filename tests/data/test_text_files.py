"""Texts from files, and the embedded ones: every fault ends in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests._inputs import shared_data
from tests._texts import shown
from unlearnable.data.reviews import Reviews
from unlearnable.data.text_files import TextFiles
from unlearnable.data.vocabulary import FIRST_WORD

ROWS = [("a fine film", "good"), ("a dull film", "bad"), ('a fine, "odd" one', "good")]


def write(folder: Path, split: str, suffix: str, rows: list[tuple[Any, Any]] = ROWS) -> Path:
    path = folder / f"{split}.{suffix}"
    if suffix == "parquet":
        texts, labels = zip(*rows, strict=True)
        pq.write_table(pa.table({"text": texts, "label": labels}), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    else:
        quoted = ['"' + text.replace('"', '""') + '"' for text, _ in rows]
        path.write_text("text,label\n" + "".join(f"{q},{label}\n" for q, (_, label) in zip(quoted, rows, strict=True)))
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_each_format_gives_the_same_texts(tmp_path: Path, suffix: str) -> None:
    for split in ("train", "test"):
        write(tmp_path, split, suffix)
    data = TextFiles(tmp_path)
    data.setup()
    assert data.class_names == ("bad", "good")
    assert data.train.targets.tolist() == [1, 0, 1]
    assert shown(data.train) == ["a fine film", "a <unk> film", 'a fine , " <unk> " <unk>']  # once: dull, odd, one


def test_the_vocabulary_is_of_the_training_subset_and_other_words_of_the_test_are_unknown(tmp_path: Path) -> None:
    write(tmp_path, "train", "csv", [("good good", "x"), ("bad bad", "y"), ("rest rest", "x"), ("more more", "y")])
    write(tmp_path, "test", "csv", [("new new", "y")])
    data = TextFiles(tmp_path, subset=2)
    data.setup()
    assert len(data.train) == 2
    # One text of each class is used, and its word alone is known.
    assert {text.split()[0] for text in shown(data.train)} == set(data.train.vocabulary[FIRST_WORD:])
    assert len(data.train.vocabulary) == FIRST_WORD + 2
    assert shown(data.test) == ["<unk> <unk>"]


def message_of(folder: Path, **options: Any) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        TextFiles(folder, **options).setup()
    return str(caught.value)


def test_no_folder_and_no_split_are_said(tmp_path: Path) -> None:
    assert "there is no such folder" in message_of(tmp_path / "none")
    write(tmp_path, "train", "csv")
    assert "has no test.csv, test.jsonl or test*.parquet, but train.csv" in message_of(tmp_path)


def test_a_split_in_two_formats_is_refused(tmp_path: Path) -> None:
    for suffix in ("csv", "jsonl"):
        write(tmp_path, "train", suffix)
    assert "the split 'train' more than once: train.csv, train.jsonl" in message_of(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_empty_text_is_named(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, "train", suffix, [("a film", "x"), (" ", "y")])
    write(tmp_path, "test", suffix)
    assert message_of(tmp_path) == f"{path}, column 'text', row 1: the text is empty."


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path, split, "csv")
    assert "has no column 'stars', but ['text', 'label']" in message_of(tmp_path, label_column="stars")


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    write(tmp_path, "train", "csv", [("a film", "x"), ("a book", "x")])
    write(tmp_path, "test", "csv", [("a film", "x")])
    assert "All 2 training texts are of class 0" in message_of(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_another_encoding_is_said(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, "train", suffix, [("a cafe film", "x"), ("a dull film", "y")])
    path.write_bytes(path.read_bytes().replace(b"cafe", "café".encode("latin-1")))
    write(tmp_path, "test", suffix)
    message = message_of(tmp_path)
    assert str(path) in message
    assert "not in UTF-8" in message


def test_texts_without_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", "jsonl", [("a film", 0), ("a book", 1)])
    write(tmp_path, "test", "jsonl", [("a film", -1)])
    assert "test.jsonl, column 'label', row 0: the label -1 is none of the 2 classes" in message_of(tmp_path)


def test_numbers_are_no_texts(tmp_path: Path) -> None:
    write(tmp_path, "train", "jsonl", [(5, 0), (6, 1)])
    write(tmp_path, "test", "jsonl")
    assert "row 0: 5 is no text" in message_of(tmp_path)


def test_reviews_are_balanced_the_same_each_time_and_differ_between_training_and_test() -> None:
    data, again = Reviews(), Reviews()
    data.setup()
    again.setup()
    assert (len(data.train), len(data.test)) == (2000, 500)
    assert data.train.labels.bincount().tolist() == [1000, 1000]
    assert data.train.fingerprint == again.train.fingerprint
    assert len(set(shown(data.train)) & set(shown(data.test))) < 5
    assert "<unk>" not in " ".join(shown(data.train))


def test_real_sst2_is_read_from_the_hubs_files() -> None:
    data = TextFiles(shared_data("sst2"), text_column="sentence", test="validation", subset=500)
    data.setup()
    assert data.class_names == ("negative", "positive")
    assert (len(data.train), len(data.test)) == (500, 872)
