"""A poisoned set of images as files, and what its card says of them; `exporting.py` is the way in."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unlearnable.data.modality.noise import describe
from unlearnable.data.modality.picture import save_png
from unlearnable.data.samples import Samples
from unlearnable.poisons.image.training_set import classes_of, images_of


def write_images(samples: Samples, folder: Path, export_format: str) -> None:
    """Writes images as they are trained on.

    Args:
        samples: The poisoned images.
        folder: Where.
        export_format: One of `FORMATS`.
    """
    FORMATS[export_format](images_of(samples), classes_of(samples)[0], folder)


def told_of_images(clean: Samples, poisoned: Samples) -> tuple[str, str]:
    """What the samples are, and the budget with digests, in Markdown."""
    before, after, labels = images_of(clean), images_of(poisoned), classes_of(poisoned)[0]
    used = describe(before, after)
    shape = "×".join(map(str, after.shape[1:]))
    what = f"{len(after)} training images of {shape}, 8 bits per channel"
    return (
        what,
        f"""| budget used | largest | mean over the changed images |
|---|---|---|
| ℓ∞ (of 255) | {used.linf_max * 255:.0f} | {used.linf_mean * 255:.2f} |
| ℓ2 ([0, 1] scale) | {used.l2_max:.4f} | {used.l2_mean:.4f} |
| ℓ0 (pixels) | {used.l0_max} | {used.l0_mean:.1f} |

Changed images: {used.changed:.2%}.

SHA-256 of the values in row order: clean images `{digest(before)}`, poisoned images `{digest(after)}`,
labels `{digest(labels)}`.""",
    )


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


#: Name → what writes images with their labels.
FORMATS: Mapping[str, Callable[[Tensor, Tensor, Path], None]] = {
    "png": _write_pngs,
    "parquet": _write_parquet,
    "safetensors": _write_safetensors,
}
