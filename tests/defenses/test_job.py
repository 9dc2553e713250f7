"""Defences in whole jobs: interrupted runs, what is measured, and what the store keeps."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests._inputs import composed
from tests.test_training import EPOCHS, InterruptAt, make_data, make_trainer
from unlearnable.callbacks.trajectory import weights_name
from unlearnable.data.digits import Digits
from unlearnable.defenses.compose import Compose
from unlearnable.defenses.cutout import Cutout
from unlearnable.defenses.gray import Gray
from unlearnable.defenses.mixup import MixUp
from unlearnable.experiment import run
from unlearnable.models.module import single_task
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.training import fit


def train(folder: Path, *callbacks: Any) -> None:
    defense = Compose(parts={"a": Cutout(), "b": MixUp()})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = single_task(
            partial(tiny_resnet, width=4),
            make_data().tasks,
            optimizer=partial(torch.optim.SGD, lr=0.1),
            defense=defense,
        )
    folder.mkdir(exist_ok=True)
    fit(module, make_data(), make_trainer=make_trainer, folder=folder, seed=0, callbacks=callbacks, loggers=[])


def test_an_interrupted_run_sees_the_same_augmentation(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path / "parts", InterruptAt(1))
    torch.manual_seed(17)
    train(tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / weights_name(EPOCHS)) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_probes_are_what_a_defended_model_sees() -> None:
    data = Digits(subset=20, test_subset=20)
    defense = Gray(test=True)
    blue = torch.zeros_like(data.train.inputs)
    blue[:, 2] = 200
    poisoned = data.poisoned(data.train.replace(inputs=blue))
    grey = poisoned.train.replace(inputs=defense.squeeze(blue))
    defended = poisoned.defended(grey, defense.at_test)

    def probe(split: str) -> torch.Tensor:
        ((images, _),) = defended.probe(20, split=split)
        return images

    assert (probe("train") == 22 / 255).all()  # 0.114 · 200
    assert (probe("undefended")[:, 2] == 200 / 255).all()
    images = data.test.inputs.float() / 255
    expected = defense.at_test(images)
    assert probe("test").sum() == pytest.approx(expected.sum().item(), rel=1e-5)
    assert torch.equal(poisoned.undefended.inputs, blue)


def smoke(store: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    folder.mkdir()
    base = ("experiment=smoke", "logger=none", "sal.samples=20", "steps=1", f"store.dir={store}")
    return run(composed(*base, *overrides), folder=folder)


def test_a_purified_set_is_made_once_shown_and_shared_by_what_measures_it_otherwise(tmp_path: Path) -> None:
    overrides = ("defense=bdr", "poison=lsp")
    first = smoke(tmp_path / "store", tmp_path / "a", *overrides)
    kept = list((tmp_path / "store" / "purified").glob("*/preview.png"))
    assert len(kept) == 2  # of the poisoned and of the clean set: the reference is defended alike
    second = smoke(tmp_path / "store", tmp_path / "b", *overrides, "sal.split=undefended")
    assert first["keys"]["trajectory"] == second["keys"]["trajectory"]
    assert first["sal"] != second["sal"]
    made = [json.loads(line) for line in (tmp_path / "store" / "log.jsonl").read_text().splitlines()]
    assert sum(line["event"] == "made" and line["kind"] == "trajectory" for line in made) == 2
    assert sum(line["event"] == "made" and line["kind"] == "purified" for line in made) == 2


def test_a_victim_starts_from_local_weights_whose_content_is_part_of_its_key(tmp_path: Path) -> None:
    file, keys = tmp_path / "start.safetensors", []
    for seed in (1, 2, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            save_file(tiny_resnet(10, width=4).state_dict(), file)
        probe = ("poison=clean", f"model.pretrained={file}", "model.tune=head")
        keys.append(smoke(tmp_path / "store", tmp_path / f"job{len(keys)}", *probe)["keys"]["trajectory"])
    assert keys[0] == keys[2] != keys[1]
    stored = tmp_path / "store" / "trajectory" / keys[0]
    before, after = load_file(file), load_file(stored / weights_name(2))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"fc.weight", "fc.bias"}
