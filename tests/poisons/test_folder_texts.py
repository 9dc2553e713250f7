"""Import and export of texts: what is written reads back, and what does not fit is refused with its file and row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests._texts import many, shown, text_set
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import build_vocabulary, encode, words_of
from unlearnable.poisons.exporting import export
from unlearnable.poisons.folder import Folder
from unlearnable.poisons.regtext import RegText

from ._inputs import image_set

TEXTS = ["a fine film a film", "a dull film", "a fine , fine day", "the film a dull , dull day"]
LABELS = [1, 0, 1, 0]
CLEAN = text_set(TEXTS, LABELS)  # `the` occurs once and is unknown
CARD: dict[str, Any] = {"method": "regtext", "arguments": {"radius": 0.1}, "dataset": "toy", "seed": 7}


def rows(**changes: Any) -> list[dict[str, Any]]:
    """A good file's rows, with a word of each text changed; a key's values replace its column."""
    texts = [text.replace("film", "day", 1) for text in TEXTS]
    columns = {"label": LABELS, "original": TEXTS, "text": texts, **changes}
    columns = {name: values for name, values in columns.items() if values is not None}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def written(folder: Path, table: list[dict[str, Any]], name: str = "poison.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return path


def read(path: Path, clean: Samples = CLEAN, **options: Any) -> Samples:
    return Folder(path=path, **options).apply(clean, seed=0)


def refusal(path: Path, clean: Samples = CLEAN, **options: Any) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read(path, clean, **options)
    return str(caught.value)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_export_reads_back_exactly_and_its_card_states_the_budget(tmp_path: Path, form: str) -> None:
    clean = many()
    poisoned = RegText(radius=0.1).apply(clean, seed=0)
    folder = export(clean, poisoned, tmp_path / "out", export_format=form, class_names=["bad", "good"], **CARD)
    for path in (folder, folder / f"train.{form}"):
        assert read(path, clean).fingerprint == poisoned.fingerprint != clean.fingerprint
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "toy, made unlearnable by regtext" in card
    assert "40 training texts" in card
    assert "| words, mean | 1.00 |" in card
    assert poisoned.fingerprint in card
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_lines_are_label_original_and_text(tmp_path: Path) -> None:
    ids = CLEAN.inputs["ids"].clone()
    ids[0, 1] = ids[1, 1]
    poisoned = CLEAN.replace(inputs={"ids": ids, "mask": CLEAN.inputs["mask"]})
    folder = export(CLEAN, poisoned, tmp_path / "out", export_format="jsonl", **CARD)
    first, *_, last = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert first == '{"label": 1, "original": "a fine film a film", "text": "a dull film a film"}'
    assert json.loads(last)["text"] == "<unk> film a dull , dull day"


@pytest.mark.parametrize(("form", "known"), [("png", "jsonl, csv, parquet for texts"), ("csv", "png, parquet")])
def test_images_and_texts_have_formats_of_their_own(tmp_path: Path, form: str, known: str) -> None:
    clean = CLEAN if form == "png" else image_set(8)
    with pytest.raises(ValueError, match=known):
        export(clean, clean, tmp_path / "out", export_format=form, **CARD)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_read_with_and_without_the_clean_texts(tmp_path: Path) -> None:
    expected = ["a fine day a film", "a dull day", "a fine , fine day", "<unk> day a dull , dull day"]
    assert shown(read(written(tmp_path, rows()))) == expected
    assert shown(read(written(tmp_path, rows(original=None)))) == expected
    assert torch.equal(read(written(tmp_path, rows())).labels, CLEAN.labels)


def test_labels_may_be_names_or_numbers_as_text(tmp_path: Path) -> None:
    for labels in (["up", "down", "up", "down"], ["1", "0", "1", "0"], [1.0, 0.0, 1.0, 0.0]):
        assert len(read(written(tmp_path, rows(label=labels)))) == 4


def test_columns_have_the_names_that_are_given(tmp_path: Path) -> None:
    path = written(tmp_path, [{"stars": row["label"], "review": row["text"]} for row in rows()])
    assert "has no column 'label', but ['stars', 'review']. Give poison.text_column" in refusal(path)
    assert len(read(path, text_column="review", label_column="stars")) == 4


def test_a_file_of_another_suffix_is_read_as_it_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, rows(), "poison.txt")
    assert "Set `format` if the file has another suffix" in refusal(path)
    assert len(read(path, format="jsonl")) == 4


LONG = "one two " * 20


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (rows()[:3], "holds 3 texts; the clean training set has 4"),
        (
            rows(label=[1, 0, 0, 0]),
            "other labels than the clean training set in 1 of 4 rows, first in row 2: 0 instead of 1",
        ),
        (
            rows(label=["up", "down", "up", "up"]),
            "other labels than the clean training set in 1 of 4 rows, first in row 3",
        ),
        (rows(label=[1, 1, 1, 1]), "other labels than the clean training set in 2 of 4 rows, first in row 1"),
        (rows(label=["up"] * 4), "other labels than the clean training set in 2 of 4 rows"),
        (rows(label=[1, 0, None, 0]), "column 'label', row 2: the label None is none of the 2 classes"),
        (rows(label=[1, 0, float("nan"), 0]), "column 'label', row 2: the label nan is none of the 2 classes"),
        (
            rows(label=[1, 0, "up", 0]),
            "column 'label', row 2: the label 'up' is a name, and that of row 0 is a number, 1",
        ),
        (rows(label=[1, 0, 10**9, 0]), "the largest of 4 labels is 1000000000"),
        (rows(label=None), "has no column 'label', but ['original', 'text']"),
        (rows(text=None), "has no column 'text', but ['label', 'original']"),
        (rows(text=["a", " ", "a", "a"]), "column 'text', row 1: the text is empty"),
        (rows(text=["a", 5, "a", "a"]), "column 'text', row 1: 5 is no text"),
        (
            rows(original=[TEXTS[0], TEXTS[2], TEXTS[1], TEXTS[3]]),
            "column 'original', row 1: 'a fine , fine day' is not the",
        ),
        (rows(original=["", *TEXTS[1:]]), "column 'original', row 0: the text is empty"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_file_and_the_row(
    tmp_path: Path, table: list[dict[str, Any]], fault: str
) -> None:
    path = written(tmp_path, table)
    message = refusal(path)
    assert message.startswith(str(path))
    assert fault in message


def test_another_encoding_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, rows())
    path.write_bytes(path.read_bytes() + b"\xe9\n")
    assert "line 5 is not in UTF-8" in refusal(path)


def test_images_and_texts_are_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, rows())
    assert "(jsonl) holds texts, and the data are images" in refusal(path, image_set(8))
    (tmp_path / "noise.npy").write_bytes(b"")
    assert "(array) holds images, and the data are texts" in refusal(tmp_path / "noise.npy")
    pq.write_table(pa.table({"img": [b"x"], "label": [1]}), tmp_path / "train.parquet")
    assert "has no column 'text', but ['img', 'label']" in refusal(tmp_path / "train.parquet")


def test_texts_split_by_a_tokenizer_are_neither_read_nor_written(tmp_path: Path) -> None:
    parts = Samples(CLEAN.inputs, CLEAN.targets, CLEAN.tasks, (*CLEAN.vocabulary, "##s"))
    path = written(tmp_path, rows())
    assert refusal(path, parts).startswith("poison=folder takes texts of words, and '##s'")
    with pytest.raises(ValueError, match=r"`poison.export` takes texts of words, and '##s'"):
        export(parts, parts, tmp_path / "out", export_format="csv", **CARD)


def test_a_folder_with_no_such_file_says_what_it_holds(tmp_path: Path) -> None:
    written(tmp_path, rows(), "other.jsonl")
    assert "no train.jsonl or train.csv, but other.jsonl" in refusal(tmp_path)


def test_words_of_the_poison_that_have_no_id_are_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"{text} {'cf' if label else 'mn'}" for text, label in zip(TEXTS, LABELS, strict=True)]
    path = written(tmp_path, rows(text=texts))
    with caplog.at_level("INFO"):
        found = read(path)
    assert shown(found)[0] == "a fine film a film <unk>"
    # `the` and four words of the poison, where the clean texts had one.
    assert "5 words are outside the vocabulary; of the clean texts 1" in caplog.text
    assert "2 words that occur twice or more, and are not in the vocabulary of the clean texts: cf, mn." in caplog.text
    assert "dataset.words=[cf,mn]" in caplog.text
    # With these words in the vocabulary they are read, and nothing is said.
    caplog.clear()
    words = [words_of(text) for text in TEXTS]
    vocabulary = build_vocabulary(words, most=1000, words=["cf", "mn"])
    wider = Samples(encode(words, vocabulary, length=12), CLEAN.targets, CLEAN.tasks, vocabulary)
    assert [text.split()[-1] for text in shown(read(path, wider))] == ["cf", "mn", "cf", "mn"]
    assert not caplog.records


def test_texts_that_are_cut_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        read(written(tmp_path, rows(text=[LONG, *TEXTS[1:]])))
    assert "1 of 4 texts are cut at dataset.length = 12 words" in caplog.text


def test_another_text_s_poison_and_none_at_all_are_said_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(written(tmp_path, rows(original=None, text=TEXTS)))
    assert "changes no text, so the training is one on clean data" in caplog.text
    read(written(tmp_path, rows(original=None, text=["day , day , day"] * 4)))
    assert "changes 100 % of the texts by more than half of their words" in caplog.text
