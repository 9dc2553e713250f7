"""One line in, a record out: from a folder of someone else's images to a verdict."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

import unlearnable
from tests._inputs import ROOT
from unlearnable.app.cli import main
from unlearnable.app.commands import run_command
from unlearnable.experiment import load_data
from unlearnable.sharing.protocols import protocol
from unlearnable.sharing.schema import read_record
from unlearnable.sharing.verifying import problems, rerun


def poison(folder: Path, name: str) -> Path:
    """A bright pixel a class, as an array of images."""
    clean = load_data(protocol(name)).train
    images = clean.inputs.clone()
    labels = clean.targets if isinstance(clean.targets, Tensor) else clean.targets["class_scene"]
    images[range(len(images)), :, 0, labels] = 200
    path = folder / "bright.npy"
    np.save(path, images.numpy())
    return path


def test_a_folder_in_a_record_out_that_another_run_reproduces(tiny: str, tmp_path: Path) -> None:
    path = poison(tmp_path, tiny)
    record = unlearnable.benchmark(path, protocol=tiny, seeds=2, by="me", out=tmp_path / "out")
    assert record == read_record(tmp_path / "out" / "record.json")
    assert (record.method, record.seeds, record.protocol, record.by) == ("bright", [0, 1], tiny, "me")
    assert (record.budget.norm, record.budget.l0) == ("l0", 1)  # one pixel of each image
    assert len({run.data for run in record.runs}) == len({run.data for run in record.clean_runs}) == 1
    assert record.runs[0].data != record.clean_runs[0].data
    assert problems(record) == []
    assert rerun(record, path, seed=1, out=tmp_path / "again") == []
    others = [run.model_copy(update={"data": "0" * 64}) for run in record.runs]
    assert (
        "data of seed 1 are others"
        in rerun(record.model_copy(update={"runs": others}), path, seed=1, out=tmp_path / "again")[0]
    )
    with pytest.raises(ValueError, match=r"one of the record's, \[0, 1\]; got 5"):
        rerun(record, path, seed=5)


def test_with_many_tasks_the_record_has_a_part_for_each(tiny_rooms: str, tmp_path: Path) -> None:
    path = poison(tmp_path, tiny_rooms)
    record = unlearnable.benchmark(path, protocol=tiny_rooms, seeds=1, by="me", out=tmp_path / "out")
    assert {name: task.metric for name, task in record.tasks.items()} == {
        "class_scene": "acc",
        "depth_euclidean": "rmse",
        "joint": "",
    }
    assert (record.budget.norm, record.budget.l0) == ("l0", 1)
    assert problems(record) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmark", "nowhere", "--protocol", "digits-v1"], "nowhere is not there"),
        (
            ["benchmark", ".", "--protocol", "digits-v9"],
            "must be one of cifar10-cpu-v1, cifar10-v1, digits-v1, rooms-v1, sst2-v1",
        ),
        (["benchmark", ".", "--protocol", "cifar10-cpu-v1"], "`data_dir` must say where the clean data are"),
        (["benchmark", ".", "--protocol", "digits-v1", "--data-dir", "."], "`data_dir` is not needed"),
        (["benchmark", ".", "--protocol", "digits-v1", "--seeds", "0"], "`seeds` must be"),
        (
            ["benchmark", ".", "--protocol", "digits-v1", "--link", "http://x.org"],
            "`link` of a record: String should match",
        ),
        (
            ["benchmark", ".", "--protocol", "digits-v1", "--name", "x" * 100],
            "`method` of a record: String should have at",
        ),
        (["verify", "nowhere.json"], "nowhere.json"),
        (["verify", "."], "Is a directory"),
    ],
)
def test_bad_input_ends_with_a_sentence(arguments: list[str], message: str, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(arguments) == 1
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_what_is_wrong_with_the_file_is_said_as_it_is(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["benchmark", __file__, "--protocol", "digits-v1"]) == 1
    assert capsys.readouterr().err.startswith("`path` must be a folder, or a file of images or texts")


def test_a_word_in_the_first_place_is_a_command(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    record = next((ROOT / "leaderboard" / "records").glob("*/*.json"))
    monkeypatch.setattr(sys, "argv", ["unlearnable", "verify", str(record)])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "all is as it says" in capsys.readouterr().out
