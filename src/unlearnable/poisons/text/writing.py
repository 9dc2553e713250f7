"""A poisoned set of texts as a file, and what its card says of them; `exporting.py` is the way in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from unlearnable.data.modality.tokens import Tokens, tokens_of
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import decode
from unlearnable.poisons.imports.texts import ORIGINAL

_COLUMNS = ("label", ORIGINAL, "text")


def write_texts(clean: Samples, poisoned: Samples, folder: Path, export_format: str) -> None:
    """Writes `train.<format>`: of each text its label, the clean text and the poisoned one.

    Args:
        clean: The clean texts.
        poisoned: The poisoned texts.
        folder: Where.
        export_format: One of `FORMATS`.
    """
    rows = zip(poisoned.labels.tolist(), _texts(clean), _texts(poisoned), strict=True)
    FORMATS[export_format](rows, folder / f"train.{export_format}")


def told_of_texts(clean: Samples, poisoned: Samples) -> tuple[str, str]:
    """What the samples are, and the budget with digests, in Markdown."""
    length = tokens_of(clean.inputs)["ids"].shape[1]
    used = Tokens(length=length).describe(clean, poisoned)
    what = (
        f"{len(poisoned)} training texts as a model reads them (in lower case, spaces between words and signs, `<unk>`\n"
        f"for words outside the vocabulary, cut at {length} words)"
    )
    return (
        what,
        f"""| budget used | over the changed texts |
|---|---|
| share of the words, mean | {used["tokens_mean"]:.4f} |
| share of the words, largest | {used["tokens_max"]:.4f} |
| words, mean | {used["words_mean"]:.2f} |

Changed texts: {used["changed"]:.2%}.

SHA-256 of the samples, with labels and vocabulary: clean `{clean.fingerprint}`,
poisoned `{poisoned.fingerprint}`.""",
    )


def _texts(samples: Samples) -> Iterator[str]:
    return (" ".join(decode(ids, samples.vocabulary)) for ids in tokens_of(samples.inputs)["ids"].tolist())


_Rows = Iterator[tuple[int, str, str]]


def _jsonl(rows: _Rows, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: _Rows, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *rows])


def _parquet(rows: _Rows, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = (pa.int64(), pa.string(), pa.string())
    columns = zip(zip(*rows, strict=True), kinds, strict=True)
    pq.write_table(pa.table([pa.array(values, kind) for values, kind in columns], names=list(_COLUMNS)), path)


#: Name, and suffix → what writes the rows.
FORMATS: Mapping[str, Callable[[_Rows, Path], None]] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}
