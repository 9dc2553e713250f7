"""Writes a poisoned training set in the formats that peers read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from unlearnable.data.modality.noise import describe
from unlearnable.data.modality.picture import save_png
from unlearnable.data.samples import Samples
from unlearnable.poisons.image.training_set import classes_of, images_of

ExportFormat = Literal["png", "parquet", "safetensors"]


def check_export(export_format: str, folder: Path) -> None:
    """Raises unless `export` could write there: to be called before long work.

    Raises:
        ValueError: If the format is unknown.
        FileExistsError: If the folder holds something.
    """
    if export_format not in get_args(ExportFormat):
        raise ValueError(f"`export` must be one of {', '.join(get_args(ExportFormat))}; got {export_format!r}.")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} must be new or empty for an export; remove it or choose another.")


def export(
    clean: Samples,
    poisoned: Samples,
    folder: Path,
    *,
    export_format: ExportFormat,
    method: str,
    arguments: Mapping[str, Any],
    dataset: str,
    seed: int,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Writes the poisoned images, exactly as trained on, with a card; `poison=folder` reads them back.

    - `png`: `data/<row>.png`, the public benchmark's layout.
    - `parquet`: `train-00000-of-0000n.parquet` with `img` {bytes, path} and `label`, as data sets on the hub.
    - `safetensors`: `poisoned.safetensors` with `images` (8-bit, [n, c, h, w]) and `labels`.

    The folder appears when it is complete, under another name until then.

    Args:
        clean: Clean images, to measure the budget that was used.
        poisoned: The poisoned images, with the labels that are written: those of their first class task.
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
        ValueError: If the format is unknown, the samples are no images or the shapes differ.
        FileExistsError: If the folder holds something.
    """
    check_export(export_format, folder)
    before, after, labels = images_of(clean), images_of(poisoned), classes_of(poisoned)[0]
    card = _card(before, after, labels, export_format, method, arguments, dataset, seed, class_names)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    partial.mkdir(parents=True)
    try:
        (partial / "README.md").write_text(card, encoding="utf-8")
        _WRITERS[export_format](after, labels, partial)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def digest(tensor: Tensor) -> str:
    """SHA-256 of a tensor's values in row-major order."""
    total = hashlib.sha256()
    for part in tensor.split(1024):
        total.update(part.contiguous().numpy().tobytes())
    return total.hexdigest()


def _write_pngs(poisoned: Tensor, labels: Tensor, folder: Path) -> None:  # noqa: ARG001
    data = folder / "data"
    data.mkdir()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda row: save_png(poisoned[row], data / f"{row}.png"), range(len(poisoned))))


def _write_parquet(poisoned: Tensor, labels: Tensor, folder: Path, rows_per_file: int = 50_000) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    def encode(row: int) -> dict[str, Any]:
        buffer = io.BytesIO()
        Image.fromarray(poisoned[row].movedim(0, -1).squeeze(-1).contiguous().numpy()).save(buffer, format="PNG")
        return {"bytes": buffer.getvalue(), "path": f"{row}.png"}

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    # The hub's readers take the columns' meaning from here.
    features = {"img": {"_type": "Image"}, "label": {"dtype": "int64", "_type": "Value"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([("img", image), ("label", pa.int64())], metadata=metadata)
    parts = torch.arange(len(poisoned)).split(rows_per_file)
    for number, part in enumerate(parts):
        path = folder / f"train-{number:05d}-of-{len(parts):05d}.parquet"
        with pq.ParquetWriter(path, schema) as writer, ThreadPoolExecutor() as pool:
            for rows in part.split(1000):
                images = list(pool.map(encode, rows.tolist()))
                columns = [pa.array(images, type=image), pa.array(labels[rows].numpy(), type=pa.int64())]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _write_safetensors(poisoned: Tensor, labels: Tensor, folder: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"images": poisoned.contiguous(), "labels": labels.contiguous()}
    save_file(tensors, folder / "poisoned.safetensors")


_WRITERS: Mapping[str, Callable[[Tensor, Tensor, Path], None]] = {
    "png": _write_pngs,
    "parquet": _write_parquet,
    "safetensors": _write_safetensors,
}


def _card(
    clean: Tensor,
    poisoned: Tensor,
    labels: Tensor,
    export_format: str,
    method: str,
    arguments: Mapping[str, Any],
    dataset: str,
    seed: int,
    class_names: Sequence[str] | None,
) -> str:
    used = describe(clean, poisoned)
    shape = "×".join(map(str, poisoned.shape[1:]))
    told = json.dumps(dict(arguments), indent=2, ensure_ascii=False, default=str)
    names = "" if class_names is None else f"\nClasses: {', '.join(class_names)}.\n"
    path = "poisoned.safetensors" if export_format == "safetensors" else "this folder"
    return f"""# {dataset}, made unlearnable by {method}

{len(poisoned)} training images of {shape}, 8 bits per channel, in the order of the clean training set. Labels are the
clean ones. Use it for research on unlearnable examples; the images' licence is that of {dataset}.
{names}
| budget used | largest | mean over the changed images |
|---|---|---|
| ℓ∞ (of 255) | {used.linf_max * 255:.0f} | {used.linf_mean * 255:.2f} |
| ℓ2 ([0, 1] scale) | {used.l2_max:.4f} | {used.l2_mean:.4f} |
| ℓ0 (pixels) | {used.l0_max} | {used.l0_mean:.1f} |

Changed images: {used.changed:.2%}. Seed: {seed}. Format: {export_format}.

Arguments:

```json
{told}
```

SHA-256 of the values in row order: clean images `{digest(clean)}`, poisoned images `{digest(poisoned)}`,
labels `{digest(labels)}`.

Read it back with `python run.py poison=folder poison.path=…` ({path}) and the same data set and subset.
"""
