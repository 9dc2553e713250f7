"""Writes a poisoned training set in the formats that peers read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import check_words
from unlearnable.poisons.image import writing as images
from unlearnable.poisons.text import writing as texts
from unlearnable.poisons.text.base import are_texts


def check_export(export_format: str, folder: Path, samples: Samples) -> None:
    """Raises unless `export` could write such samples there: to be called before long work.

    Raises:
        ValueError: If there is no such format for them.
        FileExistsError: If the folder holds something.
    """
    kind, formats = ("texts", texts.FORMATS) if are_texts(samples) else ("images", images.FORMATS)
    if kind == "images" and not isinstance(samples.inputs, Tensor):
        raise ValueError(
            f"`poison.export` writes images and texts, and the data hold {', '.join(samples.inputs)}. Use "
            "poison.export=null; the store has the poisoned set."
        )
    if export_format not in formats:
        raise ValueError(f"`poison.export` must be one of {', '.join(formats)} for {kind}; got {export_format!r}.")
    if kind == "images" and export_format == "parquet" and not _classes_everywhere(samples):
        raise ValueError(
            "`poison.export` = parquet writes a class for each image, and not all of these have one. Use png or safetensors."
        )
    if kind == "texts":
        check_words(samples.vocabulary, "`poison.export`")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} must be new or empty for an export; remove it or choose another.")


def _classes_everywhere(samples: Samples) -> bool:
    return samples.class_task is not None and bool((samples.labels >= 0).all())


def export(
    clean: Samples,
    poisoned: Samples,
    folder: Path,
    *,
    export_format: str,
    method: str,
    arguments: Mapping[str, Any],
    dataset: str,
    seed: int,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Writes the poisoned samples, exactly as trained on, with a card; `poison=folder` reads them back.

    Images:

    - `png`: `data/<row>.png`, the public benchmark's layout.
    - `parquet`: `train-00000-of-0000n.parquet` with `img` {bytes, path} and `label`, as data sets on the hub.
    - `safetensors`: `poisoned.safetensors` with `images` (8-bit, [n, c, h, w]) and `labels`.

    Texts: `train.jsonl`, `train.csv` or `train.parquet` with `label`, `original` (the clean text) and `text`.

    The folder appears when it is complete, under another name until then.

    Args:
        clean: Clean samples, to measure the budget that was used.
        poisoned: The poisoned ones, with the labels that are written: those of their first class task.
        folder: New or empty folder.
        export_format: One of the above.
        method: The poison's name, for the card.
        arguments: The poison's arguments, for the card.
        dataset: The data set's name, for the card.
        seed: The poison's seed, for the card.
        class_names: Names of the classes, for the card.

    Returns:
        The folder.

    Raises:
        ValueError: If there is no such format for the samples, or the shapes differ.
        FileExistsError: If the folder holds something.
    """
    check_export(export_format, folder, clean)
    told = texts.told_of_texts(clean, poisoned) if are_texts(clean) else images.told_of_images(clean, poisoned)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    partial.mkdir(parents=True)
    try:
        card = _card(*told, export_format, method, arguments, dataset, seed, class_names)
        (partial / "README.md").write_text(card, encoding="utf-8")
        if are_texts(clean):
            texts.write_texts(clean, poisoned, partial, export_format)
        else:
            images.write_images(poisoned, partial, export_format)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def _card(
    what: str,
    budget: str,
    export_format: str,
    method: str,
    arguments: Mapping[str, Any],
    dataset: str,
    seed: int,
    class_names: Sequence[str] | None,
) -> str:
    told = json.dumps(dict(arguments), indent=2, ensure_ascii=False, default=str)
    names = "" if class_names is None else f"\nClasses: {', '.join(class_names)}.\n"
    path = "poisoned.safetensors" if export_format == "safetensors" else "this folder"
    return f"""# {dataset}, made unlearnable by {method}

{what}, in the order of the clean training set. Labels are the clean ones.
Use it for research on unlearnable examples; the licence is that of {dataset}.
{names}
{budget}

Seed: {seed}. Format: {export_format}. Arguments:

```json
{told}
```

Read it back with `python run.py poison=folder poison.path=…` ({path}) and the same data set and subset.
"""
