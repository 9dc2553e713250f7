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
    assert message_of(tmp_path) == "All 2 training texts are of class 'x': there is nothing to tell apart."


GOOD = "text,label\n" + "a fine film,1\na dull film,0\n" * 6
OBJECTS = '{"text": "a fine film", "label": 1}\n{"text": "a dull film", "label": 0}\n' * 6


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("train.csv", GOOD.replace("dull", "café").encode("latin-1"), "line 3 is not in UTF-8 (invalid continuation"),
        ("train.csv", GOOD.encode("utf-16"), "line 1 is not in UTF-8"),
        ("train.csv", GOOD.encode("utf-16-le"), "line 1 has a NUL character"),
        ("train.csv", b"", " is empty"),
        ("train.csv", b"text,label\n", ": there are no rows"),
        (
            "train.csv",
            GOOD.replace(",", ";").encode(),
            "has no column 'text', but ['text;label']. Give dataset.text_col",
        ),
        ("train.csv", b"text,label,label\na,1,0\n", "has the column 'label' more than once"),
        (
            "train.csv",
            GOOD.encode() + b"a, b film,1\n",
            "line 14: 3 fields for 2 columns (text, label). A text with commas",
        ),
        ("train.csv", GOOD.encode() + b"a film\n", "line 14: 1 fields for 2 columns"),
        ("train.csv", GOOD.encode() + b'"a film,1\na book,0\n', "line 15: unexpected end of data"),
        ("train.csv", GOOD.encode() + b'"a "fine" film",1\n', "line 14: ',' expected after '\"'"),
        ("train.csv", GOOD.encode() + b"a film,\n", "row 12: the label None is none of the 2 classes"),
        ("train.csv", GOOD.encode() + b"a film,nan\n", "row 12: the label nan is none of the 2 classes"),
        ("train.csv", GOOD.encode() + b"a film,-1\n", "row 12: the label -1 is none of the 2 classes"),
        ("train.csv", GOOD.encode() + b"a film,0.5\n", "row 12: the label 0.5 is none of the 2 classes"),
        (
            "train.csv",
            GOOD.encode() + b"a film,good\n",
            "row 12: the label 'good' is a name, and that of row 0 is a number",
        ),
        ("train.csv", GOOD.encode() + b"a film,99999999999\n", "the largest of 13 labels is 99999999999"),
        ("train.jsonl", OBJECTS.encode() + "{'text': 'café'}\n".encode("latin-1"), "line 13 is not in UTF-8"),
        ("train.jsonl", OBJECTS.encode() + b'{"text": \n', "line 13 is no line of JSON (Expecting value, character"),
        ("train.jsonl", b"[" * 100_000, "line 1 is no line of JSON (maximum recursion"),
        ("train.jsonl", b'[{"text": "a film", "label": 1}]\n', "line 1: each line must be an object"),
        ("train.jsonl", OBJECTS.encode() + b'{"text": "a film"}\n', "line 13 has no 'label', but ['text']"),
        ("train.jsonl", OBJECTS.encode() + b'{"text": "a", "label": 1, "label": 0}\n', "a name stands twice"),
        ("train.jsonl", OBJECTS.encode() + b'{"text": ["a"], "label": 1}\n', "row 12: ['a'] is no text"),
        ("train.jsonl", OBJECTS.encode() + b'{"text": "a", "label": NaN}\n', "row 12: the label nan is none of the 2"),
        (
            "train.jsonl",
            OBJECTS.encode() + b'{"text": "a", "label": true}\n',
            "row 12: the label True is none of the 2",
        ),
        (
            "train.jsonl",
            OBJECTS.encode() + b'{"text": "a", "label": "x"}\n',
            "row 12: the label 'x' is a name, and that of",
        ),
        ("train.jsonl", b"\n\n", " is empty"),
        ("train.parquet", b"PAR1 and no more", "cannot be read as parquet"),
        ("train.parquet", GOOD.encode(), "cannot be read as parquet"),
        ("train.parquet", pa.table({"text": [1, 0], "label": [1, 0]}), "row 0: 1 is no text"),
        ("train.parquet", pa.table({"text": ["a", None], "label": [1, 0]}), "row 1: None is no text"),
        ("train.parquet", pa.table({"text": [b"a", b"b"], "label": [1, 0]}), "row 0: b'a' is no text"),
        ("train.parquet", pa.table({"text": ["a", "b"], "label": [[0, 1], [1, 0]]}), "row 0: the label [0, 1] is none"),
        ("train.parquet", pa.table({"text": ["a", "b"], "label": [1, None]}), "row 1: the label None is none of the 2"),
        ("train.parquet", pa.table([["a"], [1], [0]], names=["text", "label", "label"]), "'label' more than once"),
    ],
)
def test_every_fault_is_said_with_the_file_and_the_line(
    tmp_path: Path, name: str, content: bytes | pa.Table, fault: str
) -> None:
    write(tmp_path, "test", "jsonl")
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    message = message_of(tmp_path)
    assert message.startswith(str(path))
    assert fault in message
    assert len(message) < len(str(path)) + 300


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("csv", GOOD.replace("\n", "\r\n\r\n").encode()),
        ("csv", GOOD.replace(",1", ',"1"').replace(",0", ",0.0").encode()),
        ("csv", GOOD.replace("a dull", '"a\ndull').replace(" film,0", ' film",0').encode()),
        ("jsonl", b"\xef\xbb\xbf" + OBJECTS.encode() + b"\n"),
        ("jsonl", OBJECTS.replace("1}", '"1"}').encode()),
    ],
)
def test_what_is_unusual_but_clear_is_read(tmp_path: Path, name: str, content: bytes) -> None:
    """A byte order mark, blank lines, numbers as text, a text over two lines."""
    for split in ("train", "test"):
        (tmp_path / f"{split}.{name}").write_bytes(content)
    data = TextFiles(tmp_path)
    data.setup()
    assert data.class_names == ("0", "1")
    assert shown(data.train) == ["a fine film", "a dull film"] * 6
    assert data.train.labels.tolist() == [1, 0] * 6


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_in_parquet_may_be_of_any_kind_of_string(tmp_path: Path, kind: pa.DataType) -> None:
    for split in ("train", "test"):
        table = pa.table({"text": pa.array(["a b", "b a"]).cast(kind), "label": [0.0, 1.0]})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    data = TextFiles(tmp_path)
    data.setup()
    assert shown(data.train) == ["a b", "b a"]


def test_texts_that_are_cut_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "test"):
        write(tmp_path, split, "csv")
    with caplog.at_level("INFO"):
        TextFiles(tmp_path, length=3).setup()
    assert "1 of 3 training texts are cut at dataset.length = 3 words" in caplog.text


def test_one_column_for_both_is_refused(tmp_path: Path) -> None:
    assert "are both 'label'" in message_of(tmp_path, text_column="label")


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


NAMES = ["world", "sports", "business", "tech"]
FOUR = [(f"a text of {name}", name) for name in NAMES]


def named(folder: Path, split: str, labels: list[int], names: list[str]) -> None:
    """A parquet file with numbers, and the names that `datasets` keeps for them."""
    feature = {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}
    table = pa.table({"text": [f"a text of {names[label]}" for label in labels], "label": labels})
    pq.write_table(table.replace_schema_metadata(feature), folder / f"{split}.parquet")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("numbered", ["train", "test"])
def test_names_in_one_file_and_numbers_in_another_are_refused(tmp_path: Path, suffix: str, numbered: str) -> None:
    for split in ("train", "test"):
        rows = [(text, number if split == numbered else name) for number, (text, name) in enumerate(FOUR)]
        write(tmp_path, split, suffix, rows)
    fault = {
        "test": "test.*the label 0 is a number, and others are names, such as 'business'",
        "train": "test.*'world'",
    }
    with pytest.raises(ValueError, match=fault[numbered]):
        TextFiles(tmp_path).setup()


def test_numbers_whose_names_a_file_has_go_by_name(tmp_path: Path) -> None:
    named(tmp_path, "train", [0, 1, 2, 3], NAMES)
    named(tmp_path, "test", [0, 1, 2], ["tech", "sports", "world"])
    data = TextFiles(tmp_path)
    assert data.train.targets.tolist() == [0, 1, 2, 3]
    assert data.test.targets.tolist() == [3, 1, 0]
    (tmp_path / "train.parquet").unlink()
    write(tmp_path, "train", "csv", FOUR)
    data = TextFiles(tmp_path)
    assert [data.class_names[label] for label in data.test.targets] == ["tech", "sports", "world"]
    named(tmp_path, "test", [0, 1], ["Tech", "Sports"])
    with pytest.raises(ValueError, match=r"test\.parquet: the label 0 is a number"):
        TextFiles(tmp_path).setup()
