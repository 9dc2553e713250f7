"""Lightning's check points, written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from unlearnable.files import write_atomically


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a check point beside the last one and then puts it in its place.

    Lightning's own moves it over from the folder for temporary files, which on another file system is a copy: a disk that
    is full, or a kill, would leave half of it and nothing of the last.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), content.getvalue())
