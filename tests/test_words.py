"""A toy kind of input goes the whole way: nothing between data and page takes its samples for images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from typing_extensions import override

from tests._inputs import composed
from unlearnable.data.modality.base import Modality
from unlearnable.data.module import DataModule
from unlearnable.data.samples import Inputs, Samples
from unlearnable.experiment import run
from unlearnable.poisons.base import Poison
from unlearnable.report.build import build, read


class Words(Modality):
    """Token ids with their mask."""

    name = "words"

    @override
    def to_model(self, inputs: Inputs) -> Any:
        assert not isinstance(inputs, torch.Tensor)
        return {name: tensor.long() for name, tensor in inputs.items()}

    @override
    def describe(self, clean: Samples, poisoned: Samples) -> dict[str, Any]:
        return {"changed": float((clean.inputs["ids"] != poisoned.inputs["ids"]).any(1).float().mean())}

    @override
    def preview(self, clean: Samples, poisoned: Samples, folder: Path) -> Path:
        path = folder / "preview.txt"
        path.write_text(f"{clean.inputs['ids'][0].tolist()} | {poisoned.inputs['ids'][0].tolist()}")
        return path

    @override
    def write(self, folder: Path, inputs: Inputs) -> None:
        save_file(dict(inputs), folder / "tokens.safetensors")  # type: ignore[arg-type]

    @override
    def read(self, folder: Path) -> Inputs:
        return load_file(folder / "tokens.safetensors")


class Sentences(DataModule):
    """Two classes of words, with noise words between them."""

    class_names = ("left", "right")

    def __init__(self, *, batch_size: int = 20, seed: int = 0) -> None:
        super().__init__(modality=Words(), batch_size=batch_size, seed=seed)

    @override
    def load(self) -> tuple[Samples, Samples]:
        return self._draw(80, 0), self._draw(40, 1)

    def _draw(self, count: int, seed: int) -> Samples:
        labels = torch.arange(count) % 2
        ids = torch.randint(4, 12, (count, 6), generator=torch.Generator().manual_seed(seed))
        ids[:, 2] = labels
        return Samples({"ids": ids, "mask": torch.ones_like(ids)}, labels)


class Bag(nn.Module):
    """A mean of embeddings and one hidden layer."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.embed, self.hidden, self.head = nn.Embedding(12, 8), nn.Linear(8, 8), nn.Linear(8, num_classes)

    @override
    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        mean = (self.embed(inputs["ids"]) * inputs["mask"][..., None]).mean(1)
        return self.head(torch.relu(self.hidden(mean)))


class Symbol(Poison):
    """Writes a word of the class over the last one."""

    @override
    def apply(self, samples: Samples, **_: Any) -> Samples:
        ids = samples.inputs["ids"].clone()
        ids[:, -1] = 2 + samples.labels
        return samples.replace(inputs={**samples.inputs, "ids": ids})


def test_token_ids_are_poisoned_stored_trained_on_measured_and_shown(tmp_path: Path) -> None:
    config = composed(
        "experiment=smoke", "logger=none", "sal.samples=40", f"store.dir={tmp_path}/store", "poison=clean"
    )
    here = "tests.test_words"
    config.dataset = {"_target_": f"{here}.Sentences", "batch_size": 20}
    config.model.net = {"_target_": f"{here}.Bag", "_partial_": True}
    config.poison = {"_target_": f"{here}.Symbol", "task": None, "export": None}
    config.choices.poison, config.choices.dataset = "symbol", "sentences"
    job = tmp_path / "0-symbol"
    job.mkdir()
    result = run(config, folder=job)
    assert result["layers"] == ["embed", "hidden", "head"]
    assert result["noise"] == {"changed": 1.0}
    assert (job / "preview.txt").read_text().endswith("2]")  # the word of class 0
    assert not result["is_clean"]
    again = run(config, folder=job)  # everything from the store, the tokens too
    assert (again["reused"], again["sal"]) == (["poison", "train", "sal"], result["sal"])
    records, cells = read([tmp_path])
    assert any(path.suffix == ".html" for path in build(tmp_path / "page", records, cells))
