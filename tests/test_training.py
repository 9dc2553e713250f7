from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file
from torch import nn

from unlearnable.callbacks import DistanceLog, DivergedError, Divergence, Measuring
from unlearnable.callbacks.distances import epoch_figures
from unlearnable.callbacks.divergence import DivergenceWarning
from unlearnable.callbacks.trajectory import TrajectoryWriter, kept_epochs, read_epochs, read_weights, weights_name
from unlearnable.data.digits import Digits
from unlearnable.data.samples import Samples
from unlearnable.distances import learnability_threshold, learnable_layers
from unlearnable.measures.sal import measure_sal
from unlearnable.measures.sal.measure import SharpnessAwareLearnability
from unlearnable.measures.sal.solvers.fast import Fast
from unlearnable.models.module import TaskModule
from unlearnable.models.multi_head import make_multi_task_net
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.tasks import Classification
from unlearnable.training import fit, revisit

EPOCHS = 3


def make_trainer(**arguments: Any) -> Trainer:
    defaults = {"max_epochs": EPOCHS, "accelerator": "cpu", "enable_progress_bar": False, "num_sanity_val_steps": 0}
    return Trainer(**{**defaults, "enable_model_summary": False, **arguments})


def make_data() -> Digits:
    return Digits(subset=100, test_subset=50, batch_size=32, crop=1, seed=3)


def make_module() -> TaskModule:
    """A net with everything whose state a resume could lose: BatchNorm, dropout, momentum, a schedule."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 49, 10)
        )
    return TaskModule(
        net,
        {"class": Classification("class", 10)},
        optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
    )


def measuring(folder: Path | None = None, **probe: Any) -> Measuring:
    """SAL by the fast solver, two steps, on 40 images."""
    measure = SharpnessAwareLearnability(solver=Fast(), eps=0.05, steps=2, **{"samples": 40, **probe})
    return Measuring(measure, folder=folder)


def train(folder: Path, callbacks: Sequence[Callback] = (), **options: Any) -> None:
    fit(
        make_module(),
        make_data(),
        make_trainer=make_trainer,
        folder=folder,
        seed=0,
        callbacks=callbacks,
        loggers=[],
        **options,
    )


def show_again(folder: Path, callbacks: Sequence[Callback]) -> None:
    revisit(
        make_module(),
        make_data(),
        make_trainer=make_trainer,
        folder=folder,
        epochs=EPOCHS,
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


def with_plateau() -> TaskModule:
    """Its learning rate falls in every epoch."""
    module = make_module()
    module.scheduler = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.1, patience=0, threshold=1e3)
    return module


def with_memory() -> TaskModule:
    """Its aggregator remembers how alike the tasks' gradients were."""
    pytest.importorskip("torchjd")
    tasks = {"class": Classification("class", 10), "again": Classification("again", 10)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make_multi_task_net(lambda _: tiny_resnet(1, width=4), tasks)
    return TaskModule(net, tasks, optimizer=partial(torch.optim.SGD, lr=0.1), aggregator="gradvac")


def two_labels() -> Digits:
    class Twice(Digits):
        def load(self) -> tuple[Samples, Samples]:
            tasks = {name: Classification(name, 10) for name in ("class", "again")}
            return tuple(
                replace(part, targets={"class": part.targets, "again": 9 - part.targets}, tasks=tasks)
                for part in super().load()
            )

    return Twice(subset=60, test_subset=20, batch_size=20)


@pytest.mark.parametrize(("make", "data"), [(with_plateau, make_data), (with_memory, two_labels)])
def test_schedules_and_aggregators_that_remember_go_on_too(tmp_path: Path, make: Any, data: Any) -> None:
    found = []
    for name, breaks in (("whole", []), ("cut", [InterruptAt(2)])):
        arguments = {"make_trainer": make_trainer, "folder": tmp_path / name, "seed": 0, "loggers": []}
        (tmp_path / name).mkdir()
        if breaks:
            with pytest.raises((KeyboardInterrupt, SystemExit)):
                fit(make(), data(), callbacks=breaks, **arguments)
        fit(make(), data(), callbacks=[], **arguments)
        found.append(load_file(tmp_path / name / weights_name(EPOCHS)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_measuring_changes_nothing_in_the_trained_model(uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path, [measuring()])
    resumed, whole = (load_file(folder / weights_name(EPOCHS)) for folder in (tmp_path, uninterrupted))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_revisit_measures_what_the_live_run_measured(tmp_path: Path) -> None:
    live, stored = (measuring() for _ in range(2))
    train(tmp_path, [live])
    show_again(tmp_path, [stored])
    assert sorted(live.history.epochs) == sorted(stored.history.epochs) == [1, 2, 3]
    for epoch, found in live.history.epochs.items():
        assert found["class"].values.tolist() == stored.history.epochs[epoch]["class"].values.tolist()


def test_the_callback_measures_the_epochs_weights_on_the_probe(tmp_path: Path) -> None:
    callback = measuring(batch_size=16, every_n_epochs=2)
    train(tmp_path, [callback])
    assert list(callback.history.epochs) == [2, 3]  # after every second epoch, and after the last
    module = make_module()
    module.net.load_state_dict(load_file(tmp_path / weights_name(2)))
    plain = measure_sal(
        module.net, nn.functional.cross_entropy, list(make_data().probe(40, batch_size=16)), steps=2, eps=0.05
    )
    assert callback.history.epochs[2]["class"].values.tolist() == plain.values.tolist()


def test_sal_that_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    trajectory, sal = tmp_path / "trajectory", tmp_path / "sal"
    trajectory.mkdir()
    sal.mkdir()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(trajectory, [measuring(sal), InterruptAt(1)])
    kept = (sal / "epoch_0001.json").stat().st_mtime_ns
    again = measuring(sal)
    train(trajectory, [again])
    assert sorted(again.history.epochs) == [1, 2, 3]
    assert (sal / "epoch_0001.json").stat().st_mtime_ns == kept


class Seen(Callback):
    """What a logger would get at each epoch's end."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def test_ud_is_logged_each_epoch_against_the_clean_reference(tmp_path: Path) -> None:
    clean, seen = measuring(), Seen()
    train(tmp_path, [clean])
    values = {epoch: {"class": found["class"].values} for epoch, found in clean.history.epochs.items()}
    again = measuring()
    show_again(tmp_path, [again, DistanceLog(again.history, clean=values), seen])
    rows = np.stack([values[epoch]["class"] for epoch in (1, 2, 3)])
    beta = learnability_threshold(rows)
    counts = [float(count) for count in learnable_layers(rows, beta)]
    assert [row["ud/learnable_layers"] for row in seen.rows] == counts
    assert [row["ud/beta"] for row in seen.rows] == pytest.approx([beta] * EPOCHS)
    for row, count in zip(
        seen.rows, counts, strict=True
    ):  # clean against itself: 1, or undefined without learnable layers
        assert row["ud/value"] == 1 if count else math.isnan(row["ud/value"])
    assert [row["ud/geometric"] for row in seen.rows] == pytest.approx([1.0] * EPOCHS)
    assert seen.rows[0]["sal/0"] == pytest.approx(rows[0][0])


def test_a_layer_that_is_not_finite_is_left_out_of_both_runs_in_what_is_logged() -> None:
    own = {"class": np.array([math.nan, 4.0, 0.1])}
    values = epoch_figures(own, {1: {"class": np.array([3.0, 2.0, 0.1])}}, 1)
    assert values["ud/beta"] == pytest.approx(1.3)  # (0.1 + 2.5) / 2
    assert (values["ud/learnable_layers"], values["ud/value"]) == (1, 1)  # b of b, not of a and b
    assert values["ud/geometric"] == pytest.approx(math.sqrt(4.001 / 2.001))


def test_what_is_undefined_is_logged_as_nan_and_the_rest_as_it_is() -> None:
    values = epoch_figures({"class": np.full(3, 2.0)}, {1: {"class": np.ones(3)}}, 1)  # constant: no two clusters
    assert all(math.isnan(values[f"ud/{name}"]) for name in ("beta", "learnable_layers", "value"))
    assert values["ud/geometric"] == pytest.approx(2.001 / 1.001)


def test_only_the_weights_that_are_asked_for_are_kept(uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path, keep={2})
    assert kept_epochs(tmp_path) == {0, 2, EPOCHS}
    assert len(read_epochs(tmp_path)) == EPOCHS  # the metrics are of every epoch
    assert kept_epochs(uninterrupted) == set(range(EPOCHS + 1))
    with pytest.raises(KeyError, match="epoch 1 were not kept"):
        read_weights(tmp_path, 1)


def test_weights_are_stored_in_half_the_size_where_that_loses_nothing(tmp_path: Path) -> None:
    module = make_module()
    with torch.no_grad():
        module.net[0].weight.copy_(module.net[0].weight.bfloat16())
    fit(
        module,
        make_data(),
        make_trainer=partial(make_trainer, limit_train_batches=1, max_epochs=1),
        folder=tmp_path,
        seed=0,
        callbacks=[],
        loggers=[],
    )
    first = read_weights(tmp_path, 0)
    assert (first["0.weight"].dtype, first["5.weight"].dtype) == (torch.bfloat16, torch.float32)
    fresh = make_module()
    fresh.net.load_state_dict(first)
    assert torch.equal(fresh.net[0].weight, first["0.weight"].float())


def test_a_training_that_ends_before_its_first_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ended before its first epoch did.*trainer.max_steps"):
        fit(
            make_module(),
            make_data(),
            make_trainer=partial(make_trainer, max_steps=2),
            folder=tmp_path,
            seed=0,
            callbacks=[],
            loggers=[],
        )


def test_the_last_epoch_is_measured_where_a_callback_ends_the_training(tmp_path: Path) -> None:
    class StopAfterOne(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
            trainer.should_stop = True

    callback = measuring(every_n_epochs=2)
    train(tmp_path, [callback, StopAfterOne()], keep={2})
    assert list(callback.history.epochs) == [1]
    assert kept_epochs(tmp_path) == {0, 1}


class StopAfter(Callback):
    """Ends the training as Lightning's EarlyStopping does."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.current_epoch + 1 == self.epoch


def test_weights_that_an_interrupted_training_did_not_keep_are_made_anew(uninterrupted: Path, tmp_path: Path) -> None:
    whole = measuring()
    show_again(uninterrupted, [whole])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, [measuring(every_n_epochs=3), InterruptAt(2)], keep={3})
    assert kept_epochs(tmp_path) == {0}
    again = measuring()
    train(tmp_path, [again])
    assert kept_epochs(tmp_path) == {0, 1, 2, 3}
    for epoch in (1, 2, 3):
        one, other = (found.history.epochs[epoch]["class"].values.tolist() for found in (whole, again))
        assert one == other


@pytest.mark.parametrize("interrupted", ["at the end", "before it"])
def test_a_training_that_a_callback_ended_is_not_continued_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    whole = measuring(every_n_epochs=3)
    (tmp_path / "whole").mkdir(), (tmp_path / "cut").mkdir()
    train(tmp_path / "whole", [whole, StopAfter(2)], keep={3})

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        owner = Measuring if interrupted == "at the end" else TrajectoryWriter
        patched.setattr(owner, "on_train_end", interrupt)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(tmp_path / "cut", [measuring(every_n_epochs=3), StopAfter(2)], keep={3})
    again = measuring(every_n_epochs=3)
    train(tmp_path / "cut", [again, StopAfter(2)], keep={3})
    assert [path.name for path in sorted((tmp_path / "cut").iterdir())] == [
        path.name for path in sorted((tmp_path / "whole").iterdir())
    ]
    one, other = (load_file(tmp_path / name / weights_name(2)) for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert list(again.history.epochs) == list(whole.history.epochs) == [2]
    assert again.history.epochs[2]["class"].values.tolist() == whole.history.epochs[2]["class"].values.tolist()


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"batch_size": 0}, {"every_n_epochs": 0}])
def test_wrong_arguments_fail_in_the_constructor(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        measuring(**wrong)


def diverging(folder: Path, **options: Any) -> None:
    module = make_module()
    module.optimizer = partial(torch.optim.SGD, lr=1e38)  # the second of four batches sees weights that are not finite
    callbacks = [Divergence("em", every_n_steps=3, **options)]
    fit(module, make_data(), make_trainer=make_trainer, folder=folder, seed=0, callbacks=callbacks, loggers=[])


def test_a_loss_that_is_not_finite_ends_the_training_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"em diverged: .* not finite in epoch 1, batch 2\."):
        diverging(tmp_path)
    assert not read_epochs(tmp_path)


def test_a_loss_that_is_not_finite_does_not_end_the_training_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.warns(DivergenceWarning, match="epoch 1, batch 2") as warned:
        diverging(tmp_path, stop=False)
    assert sum(one.category is DivergenceWarning for one in warned) == 1
    assert len(read_epochs(tmp_path)) == EPOCHS
    assert math.isnan(read_epochs(tmp_path)[-1].metrics["train/loss"])


def test_the_loss_is_looked_at_now_and_then_and_not_at_every_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(Divergence, "_look", lambda self, trainer, first: looks.append(first))
    train(tmp_path, [Divergence("em", every_n_steps=3)])
    assert looks == [-1, -1] * EPOCHS  # after the third and the last of four batches
