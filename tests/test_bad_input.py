"""Bad input ends in seconds, with what is wrong, what was found and what to do, and nothing in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests._inputs import composed
from tests.data._inputs import write_hub
from unlearnable.app.job import message_of as message
from unlearnable.experiment import run


def message_of(folder: Path, *overrides: str) -> str:
    """What a user reads when a job with these overrides fails; asserts that it does and stores nothing."""
    store = folder / "store"
    config = composed("experiment=smoke", "logger=none", f"store.dir={store}", *overrides)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the message is what each test checks
        run(config, folder=folder)
    assert not store.exists()
    return message(caught.value)


@pytest.mark.parametrize("eps", ["0", "-0.05", "nan", "inf"])
def test_eps_must_be_finite_and_positive(tmp_path: Path, eps: str) -> None:
    message = message_of(tmp_path, f"eps={eps}")
    assert "`eps` must be a finite number above 0" in message
    assert "got" in message


@pytest.mark.parametrize("steps", ["0", "-1", "2.5"])
def test_steps_must_be_a_whole_number_from_one(tmp_path: Path, steps: str) -> None:
    assert f"at least 1 (the paper's is 10); got {steps}" in message_of(tmp_path, f"steps={steps}")


@pytest.mark.parametrize(
    ("poison", "radius"),
    [("em", "0"), ("em", "-0.1"), ("em", "1.5"), ("tap", "nan"), ("ops", "0"), ("ops", "257"), ("ops", "1.5")],
)
def test_a_radius_outside_its_norms_range_is_refused(tmp_path: Path, poison: str, radius: str) -> None:
    message = message_of(tmp_path, f"poison={poison}", f"poison.radius={radius}")
    assert "radius" in message
    assert radius in message


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    message = message_of(tmp_path, "dataset=cifar10", f"dataset.data_dir={tmp_path}/none")
    assert "there is no such folder" in message
    assert "dataset.download=true" in message


def test_a_folder_that_must_be_chosen_is_asked_for(tmp_path: Path) -> None:
    assert "`dataset.data_dir` has no default: give it" in message_of(tmp_path, "dataset=cifar10")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    message = message_of(tmp_path, "dataset=cifar10", f"dataset.data_dir={tmp_path}/data")
    assert "it is empty" in message


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_hub(tmp_path / "data", split, 20)
    file = tmp_path / "data" / "train-00000-of-00001.parquet"
    file.write_bytes(b"PAR1" + bytes(100))
    message = message_of(
        tmp_path,
        "dataset=cifar10",
        f"dataset.data_dir={tmp_path}/data",
        "dataset.subset=null",
        "dataset.test_subset=null",
    )
    assert str(file) in message
    assert "corrupt" in message


def test_a_subset_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    message = message_of(tmp_path, "dataset.subset=2000")
    assert "`dataset.subset` must lie between 1 and the 1400 samples there are; got 2000" in message


def test_a_probe_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    message = message_of(tmp_path, "sal.samples=121")
    assert "`sal.samples` = 121, but the train split has 120 samples. Use at most 120, or null" in message


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("trainer.max_epochs=0", "trainer.max_epochs"),
        ("seed=-1", "seed"),
        ("sal.samples=0", "sal.samples"),
        ("sal.split=validation", "sal.split"),
        ("dataset.batch_size=0", "batch_size"),
        ("store.max_gb=0", "store.max_gb"),
        ("sal.samples=abc", "`sal.samples`"),
        ("sal.batch_size=1.5", "`sal.batch_size`"),
        ("sal.every_n_epochs=nan", "`sal.every_n_epochs`"),
        ("sal.eps=abc", "`eps`"),
        ("sal.solver.tol=abc", "`tol`"),
        ("sal.solver.restarts=0.5", "`restarts`"),
        ("store.max_gb=much", "`store.max_gb`"),
        ("target_ud=low", "`target_ud`"),
        ("model.net.width=wide", "`width`"),
        ("model.optimizer.lr=nan", "`model.optimizer.lr`"),
        ("model.optimizer.momentum=8/255", "`model.optimizer.momentum`"),
        ("trainer.devices=two", "devices=two"),
        ("+trainer.num_nodes=2", "`trainer.num_nodes`"),
        ("+trainer.strategy=ddp_spawn", "trainer.strategy"),
        ("+trainer.nosuch=1", "nosuch"),
        ("trainer.precision=bf16-true", "32-true, bf16-mixed, 16-mixed"),
        ("trainer.precision=64-true", "`trainer.precision`"),
        ("dataset.crop=16", "`dataset.crop`"),
    ],
)
def test_other_values_out_of_range_are_refused(tmp_path: Path, override: str, named: str) -> None:
    message = message_of(tmp_path, override)
    assert named in message
    assert override.split("=")[1] in message


def test_a_network_that_cannot_be_built_is_named_with_its_arguments(tmp_path: Path) -> None:
    message = message_of(tmp_path, "+model.net.nosuch=1")
    assert "The network cannot be built by `model.net`" in message
    assert "nosuch" in message


def test_criticality_of_an_epoch_that_does_not_come_ends_before_the_poison_is_made(tmp_path: Path) -> None:
    message = message_of(tmp_path, "measure=[criticality]", "measure.criticality.to_epoch=3")
    assert "`criticality.to_epoch` = 3 is after the run's last epoch, 2" in message


def test_classes_without_a_sample_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    message_of(tmp_path, "dataset.subset=5")
    assert "The training set of 5 samples has none of 5 of the 10 classes" in caplog.text
