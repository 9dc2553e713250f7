"""Reads poisoned texts from the tables in which peers exchange them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from unlearnable.data.hub import own_names
from unlearnable.data.modality.tokens import changed_words, tokens_of
from unlearnable.data.samples import Samples
from unlearnable.data.targets import read_labels
from unlearnable.data.text_tables import Table, read_table, split_files
from unlearnable.data.vocabulary import UNKNOWN, decode, encode, words_of
from unlearnable.poisons.imports.image_files import check_labels

log = logging.getLogger(__name__)

#: The column of the clean texts, in files that have them.
ORIGINAL = "original"
#: Share of a text's words beyond any usual budget.
_LARGE = 0.5
_SHOWN = 10


def read_texts(path: Path, clean: Samples, *, form: str, text_column: str, label_column: str) -> Samples:
    """The texts that a file, or a folder with a file `train.*`, has for the clean ones, row for row.

    Words outside the vocabulary, which is the clean texts', become `<unk>`; the log has how many, and which of them a
    vocabulary of the poisoned texts would have.

    Args:
        path: The file or the folder.
        clean: The clean training set.
        form: Of the file; in a folder its suffix counts.
        text_column: The column of the poisoned texts.
        label_column: The column of the labels.

    Raises:
        ValueError: if a text is empty or none, or number, labels or `original` are not those of the clean texts.
    """
    files = [path] if path.is_file() else split_files(path, "train", option="poison.path")
    options = "poison.text_column and poison.label_column"
    tables = [
        read_table(
            file,
            (label_column, text_column),
            optional=(ORIGINAL,),
            options=options,
            form=form if path.is_file() else None,
        )
        for file in files
    ]
    if (count := sum(map(len, tables))) != len(clean):
        raise ValueError(
            f"{path} holds {count} texts; the clean training set has {len(clean)}. Row i must poison row i: is it made for "
            "this data set and subset?"
        )
    check_labels(_labels(tables, label_column, clean.labels), clean.labels, path)
    _check_originals(tables, clean)
    texts = [words_of(text) for table in tables for text in table.texts(text_column)]
    length = tokens_of(clean.inputs)["ids"].shape[1]
    poisoned = clean.replace(inputs=encode(texts, clean.vocabulary, length=length))
    if cut := sum(len(words) > length for words in texts):
        log.info("%s: %d of %d texts are cut at dataset.length = %d words", path, cut, count, length)
    _warn_of_unknown(texts, clean, poisoned, path)
    _warn_of_change(clean, poisoned, path)
    return poisoned


def _labels(tables: Sequence[Table], column: str, clean: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """The file's labels; names stand for the classes that most of their rows have."""
    where = [table.place(column, row) for table in tables for row in range(len(table))]
    values = [value for table in tables for value in table.labels(column)]
    names = own_names(values, where=f"{tables[0].file}, column {column!r}")
    found = read_labels(values, names, where=where.__getitem__)
    if names[0].isdecimal():
        return found
    classes = [clean[found == number].mode().values for number in range(len(names))]
    return torch.stack(classes)[found]


def _check_originals(tables: Sequence[Table], clean: Samples) -> None:
    """Refuses clean texts that are not those of the clean set."""
    ids, start = tokens_of(clean.inputs)["ids"], 0
    for table in tables:
        stop = start + len(table)
        if ORIGINAL in table.columns:
            originals = table.texts(ORIGINAL)
            words = [words_of(text) for text in originals]
            wrong = (encode(words, clean.vocabulary, length=ids.shape[1])["ids"] != ids[start:stop]).any(1)
            if wrong.any():
                row = int(wrong.nonzero()[0])
                raise ValueError(
                    f"{table.place(ORIGINAL, row)}: {originals[row]!r} is not the clean text of this row, "
                    f"{' '.join(decode(ids[start + row].tolist(), clean.vocabulary))!r}; {int(wrong.sum())} of {len(table)} "
                    "rows differ. Is it made for this data set, subset and order?"
                )
        start = stop


def _warn_of_unknown(texts: Sequence[Sequence[str]], clean: Samples, poisoned: Samples, path: Path) -> None:
    """Says which words of the poison have no id: all of them are `<unk>`, and none can be told from another."""
    before, after = (int((tokens_of(samples.inputs)["ids"] == UNKNOWN).sum()) for samples in (clean, poisoned))
    log.info("%s: %d words are outside the vocabulary; of the clean texts %d", path, after, before)
    known = set(clean.vocabulary)
    counts = Counter(word for words in texts for word in words if word not in known)
    # In the clean texts such words occur once, unless the vocabulary is full.
    own = [word for word, count in counts.most_common() if count > 1]
    if own and after > before:
        log.warning(
            "%s has %d words that occur twice or more, and are not in the vocabulary of the clean texts: %s%s. All are read "
            "as <unk>, which may make the poison weaker than it is. With dataset.words=[%s%s] they have ids, for the clean "
            "reference too.",
            path,
            len(own),
            ", ".join(own[:_SHOWN]),
            ", …" if len(own) > _SHOWN else "",
            ",".join(own[:_SHOWN]),
            ",…" if len(own) > _SHOWN else "",
        )


def _warn_of_change(clean: Samples, poisoned: Samples, path: Path) -> None:
    """Warns of texts that are not changed at all, or beyond any usual budget, which often are other texts' poisons."""
    _, share = changed_words(clean, poisoned)
    if not share.any():
        log.warning("%s changes no text, so the training is one on clean data.", path)
    beyond = float((share > _LARGE).double().mean())
    if beyond > 0.5:
        log.warning(
            "%s changes %.0f %% of the texts by more than half of their words: far beyond usual budgets. Is row i made for "
            "row i of this data set and subset? If not, all that follows is about other texts.",
            path,
            100 * beyond,
        )
