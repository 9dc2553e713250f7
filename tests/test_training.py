from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file
from torch import nn

from unlearnable.callbacks import SharpnessAwareLearnability, UnlearnableDistance
from unlearnable.callbacks.trajectory import read_epochs, weights_name
from unlearnable.data import Digits
from unlearnable.distances import learnability_threshold, learnable_layers
from unlearnable.measures.sal import measure_sal
from unlearnable.models import SingleTask
from unlearnable.training import fit, replay

EPOCHS = 3


def make_trainer(**arguments: Any) -> Trainer:
    defaults = {"max_epochs": EPOCHS, "accelerator": "cpu", "enable_progress_bar": False, "num_sanity_val_steps": 0}
    return Trainer(**{**defaults, "enable_model_summary": False, **arguments})


def make_data() -> Digits:
    return Digits(subset=100, test_subset=50, batch_size=32, crop=1, seed=3)


def make_module() -> SingleTask:
    """A net with everything whose state a resume could lose: BatchNorm, dropout, momentum, a schedule."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 49, 10)
        )
    return SingleTask(
        net,
        num_classes=10,
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
    )


def train(folder: Path, callbacks: Sequence[Callback] = ()) -> None:
    fit(
        make_module(),
        make_data(),
        make_trainer=make_trainer,
        folder=folder,
        seed=0,
        callbacks=callbacks,
        loggers=[],
    )


class InterruptAt(Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trajectory")
    train(folder)
    return folder


def test_a_trajectory_has_the_weights_and_metrics_of_every_epoch(uninterrupted: Path) -> None:
    names = {path.name for path in uninterrupted.iterdir()}
    assert names == {weights_name(e) for e in range(EPOCHS + 1)} | {f"metrics_{e:04d}.json" for e in (1, 2, 3)}
    first = load_file(uninterrupted / weights_name(0))
    assert torch.equal(first["0.weight"], make_module().net[0].weight)
    assert set(read_epochs(uninterrupted)[0].metrics) == {"train/loss", "train/acc", "test/acc"}


def test_an_interrupted_run_goes_on_to_the_same_weights_bit_by_bit(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, [InterruptAt(1)])
    assert len(read_epochs(tmp_path)) == 1
    train(tmp_path)
    for epoch in range(EPOCHS + 1):
        resumed, whole = (load_file(folder / weights_name(epoch)) for folder in (tmp_path, uninterrupted))
        assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert [e.metrics for e in read_epochs(tmp_path)] == [e.metrics for e in read_epochs(uninterrupted)]


def test_measuring_changes_nothing_in_the_trained_model(uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path, [SharpnessAwareLearnability(samples=40, steps=2)])
    resumed, whole = (load_file(folder / weights_name(EPOCHS)) for folder in (tmp_path, uninterrupted))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_replay_measures_what_the_live_run_measured(tmp_path: Path) -> None:
    live, stored = (SharpnessAwareLearnability(samples=40, steps=2) for _ in range(2))
    train(tmp_path, [live])
    replay(
        make_module(),
        make_data(),
        make_trainer=make_trainer,
        folder=tmp_path,
        epochs=EPOCHS,
        callbacks=[stored],
        loggers=[],
    )
    assert sorted(live.history) == sorted(stored.history) == [1, 2, 3]
    for epoch in live.history:
        assert live.history[epoch]["class"].values.tolist() == stored.history[epoch]["class"].values.tolist()


def test_the_callback_measures_the_epochs_weights_on_the_probe(tmp_path: Path) -> None:
    callback = SharpnessAwareLearnability(samples=40, batch_size=16, steps=2, every_n_epochs=2)
    train(tmp_path, [callback])
    assert list(callback.history) == [2]
    module = make_module()
    module.net.load_state_dict(load_file(tmp_path / weights_name(2)))
    plain = measure_sal(
        module.net, nn.functional.cross_entropy, list(make_data().probe(40, batch_size=16)), steps=2, eps=0.05
    )
    assert callback.history[2]["class"].values.tolist() == plain.values.tolist()


def test_sal_that_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    trajectory, sal = tmp_path / "trajectory", tmp_path / "sal"
    trajectory.mkdir()
    sal.mkdir()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(trajectory, [SharpnessAwareLearnability(samples=40, steps=2, folder=sal), InterruptAt(1)])
    kept = (sal / "epoch_0001.json").stat().st_mtime_ns
    again = SharpnessAwareLearnability(samples=40, steps=2, folder=sal)
    train(trajectory, [again])
    assert sorted(again.history) == [1, 2, 3]
    assert (sal / "epoch_0001.json").stat().st_mtime_ns == kept


class Seen(Callback):
    """What a logger would get at each epoch's end."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def test_ud_is_logged_each_epoch_against_the_clean_reference(tmp_path: Path) -> None:
    clean, seen = SharpnessAwareLearnability(samples=40, steps=2), Seen()
    train(tmp_path, [clean])
    values = {"class": np.stack([clean.history[epoch]["class"].values for epoch in (1, 2, 3)])}
    replay(
        make_module(),
        make_data(),
        make_trainer=make_trainer,
        folder=tmp_path,
        epochs=EPOCHS,
        callbacks=[SharpnessAwareLearnability(samples=40, steps=2), UnlearnableDistance(clean=values), seen],
        loggers=[],
    )
    beta = learnability_threshold(values["class"])
    counts = [float(count) for count in learnable_layers(values["class"], beta)]
    assert [row["ud/learnable_layers"] for row in seen.rows] == counts
    assert [row["ud/beta"] for row in seen.rows] == pytest.approx([beta] * EPOCHS)
    for row, count in zip(
        seen.rows, counts, strict=True
    ):  # clean against itself: 1, or undefined without learnable layers
        assert row["ud/value"] == 1 if count else math.isnan(row["ud/value"])
    assert seen.rows[0]["sal/0"] == pytest.approx(values["class"][0][0])


def test_ud_without_sal_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a SharpnessAwareLearnability callback"):
        train(tmp_path, [UnlearnableDistance()])


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"batch_size": 0}, {"every_n_epochs": 0}])
def test_wrong_arguments_fail_in_the_constructor(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SharpnessAwareLearnability(**wrong)
