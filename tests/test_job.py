"""One job from its configuration to its result: what is reused, what is seen, what is in the keys."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig
from torch import Tensor

from tests._inputs import composed
from unlearnable.callbacks import DivergedError
from unlearnable.data.samples import Samples
from unlearnable.defenses.base import Defense
from unlearnable.experiment import run
from unlearnable.results.reading import read_sweeps
from unlearnable.results.rows import job_rows


def job(store: Path, *overrides: str) -> DictConfig:
    """A job of two epochs on 60 images."""
    small = ("dataset.subset=60", "dataset.test_subset=30", "sal.samples=30", "steps=1")
    return composed("experiment=smoke", "logger=none", "poison=random", *small, f"store.dir={store}", *overrides)


def made(store: Path) -> Counter[str]:
    """Kind of entry → how often one was made."""
    log = [json.loads(line) for line in (store / "log.jsonl").read_text().splitlines()]
    return Counter(record["kind"] for record in log if record["event"] == "made")


class Counting(Callback):
    """Counts the epochs it sees."""

    seen: ClassVar[list[int]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        Counting.seen.append(trainer.current_epoch)


COUNTING = "+callbacks.counting._target_=tests.test_job.Counting"


def test_a_users_callback_sees_each_epoch_of_the_own_run_live_and_replayed_and_not_the_references(
    tmp_path: Path,
) -> None:
    for _ in range(2):  # trained, then from the store
        Counting.seen.clear()
        run(job(tmp_path / "store", COUNTING), folder=tmp_path)
        assert Counting.seen == [0, 1]
    assert made(tmp_path / "store")["trajectory"] == 2


def test_the_example_of_a_callback_that_needs_a_logger_runs_on_a_fresh_store(tmp_path: Path) -> None:
    run(job(tmp_path / "store", "callbacks=learning_rate", "logger=csv"), folder=tmp_path)
    assert "lr-SGD" in (tmp_path / "csv" / "metrics.csv").read_text()


def test_a_run_that_a_callback_stopped_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    early = [
        "+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping",
        "+callbacks.early.monitor=train/loss",
        "+callbacks.early.divergence_threshold=-1",  # stops after the first epoch
    ]
    stopped = run(job(tmp_path / "store", *early), folder=tmp_path)
    whole = run(job(tmp_path / "store"), folder=tmp_path)
    assert (len(stopped["epochs"]), len(whole["epochs"])) == (1, 2)
    assert (len(stopped["sal"]), len(stopped["clean_sal"])) == (1, 1)  # UD over the epochs that both have
    assert (len(whole["sal"]), len(whole["clean_sal"])) == (2, 2)
    assert stopped["keys"]["trajectory"] != whole["keys"]["trajectory"]


def test_sal_is_measured_after_the_last_epoch_where_the_run_is_shorter_than_its_cadence(tmp_path: Path) -> None:
    assert run(job(tmp_path / "store", "sal.every_n_epochs=5"), folder=tmp_path)["sal_epochs"] == [2]


def test_another_epsilon_measures_the_stored_weights_and_another_cadence_trains_again_where_they_were_not_kept(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    run(job(store, "sal.every_n_epochs=2"), folder=tmp_path)
    run(job(store, "sal.every_n_epochs=2", "eps=0.01"), folder=tmp_path)
    assert made(store)["trajectory"] == 2
    often = run(job(store), folder=tmp_path)  # asks for the weights after the first epoch too
    assert (often["sal_epochs"], made(store)["trajectory"]) == ([1, 2], 4)
    kept = tmp_path / "all"
    run(job(kept, "sal.every_n_epochs=2", "trainer.keep=all"), folder=tmp_path)
    again = run(job(kept), folder=tmp_path)
    assert (again["sal"], made(kept)["trajectory"]) == (often["sal"], 2)


def test_a_job_that_diverged_says_so_whether_it_stopped_or_went_on(tmp_path: Path) -> None:
    diverging = ("poison=clean", "model.optimizer.lr=1e38", "measure=[]")
    with pytest.raises(DivergedError, match="clean diverged: the training loss is not finite in epoch 1, batch 2"):
        run(job(tmp_path / "store", *diverging, "dataset.batch_size=20"), folder=tmp_path)
    goes_on = ("trainer.stop_at_nan=false", "dataset.batch_size=20")
    with pytest.warns(UserWarning, match="not finite"):
        run(job(tmp_path / "store", *diverging, *goes_on), folder=tmp_path)
    (row,) = job_rows(read_sweeps([tmp_path]))
    assert (row["status"], row["ud"]) == ("diverged", None)


def test_a_second_measure_has_an_entry_of_its_own_and_leaves_sal_as_it_was(tmp_path: Path) -> None:
    store = tmp_path / "store"
    alone = run(job(store), folder=tmp_path)
    both = run(job(store, "measure=[criticality]"), folder=tmp_path)
    assert made(store) == {"prior": 1, "poison": 1, "trajectory": 2, "sal": 2, "criticality": 2}
    assert both["sal"] == alone["sal"]
    found = both["measures"]["criticality"]
    assert found["layers"] == both["layers"]
    assert (len(found["values"]), len(found["clean_values"])) == (2, 2)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("+trainer.num_nodes=2", "trains on the devices of one machine"),
        ("trainer.keep=some", "`trainer.keep` must be 'measured'"),
        ("+trainer.max_steps=1 dataset.batch_size=20", "ended before its first epoch did"),
        (
            "+trainer.max_steps=4 dataset.batch_size=20 sal.every_n_epochs=2",
            "ended after 1 whole epochs.*measures none",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(override: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(job(tmp_path / "store", *override.split(), "poison=clean"), folder=tmp_path)


def test_callbacks_that_log_go_without_a_logger_too(tmp_path: Path) -> None:
    assert len(run(job(tmp_path / "store", "callbacks=learning_rate"), folder=tmp_path)["epochs"]) == 2


def test_an_epoch_that_a_limit_cuts_short_does_not_count_and_a_shorter_run_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = ("dataset.batch_size=20", "+trainer.max_steps=4")  # one epoch of three batches, and a batch
    result = run(job(tmp_path / "store", *limits), folder=tmp_path)
    assert (len(result["epochs"]), len(result["sal"])) == (1, 1)
    assert "ended after 1 of 2 epochs" in caplog.text


class Blur(Defense):
    """Purifies without saying so in `purifies`; `relabels` changes what it may not."""

    def __init__(self, *, relabels: bool = False) -> None:
        self.relabels = relabels

    def purify(self, train: Samples, **_: Any) -> Samples:
        assert isinstance(train.inputs, Tensor)
        assert isinstance(train.targets, Tensor)
        targets = 9 - train.targets if self.relabels else train.targets
        return train.replace(inputs=train.inputs // 2, targets=targets)


def test_a_defence_with_a_purify_of_its_own_purifies(tmp_path: Path) -> None:
    run(job(tmp_path / "store", "defense._target_=tests.test_job.Blur", "poison=clean"), folder=tmp_path)
    assert made(tmp_path / "store")["purified"] == 1
    relabels = ("defense._target_=tests.test_job.Blur", "+defense.relabels=true", "poison=clean")
    with pytest.raises(ValueError, match="Blur changes targets"):
        run(job(tmp_path / "store", *relabels), folder=tmp_path)


@pytest.mark.parametrize("monitor", ["sal/fc", "ud/value"])
def test_a_callback_does_not_decide_by_what_is_measured(tmp_path: Path, monitor: str) -> None:
    early = [
        "+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping",
        f"+callbacks.early.monitor={monitor}",
    ]
    with pytest.raises(ValueError, match=rf"`callbacks.early.monitor` = {monitor}: what is measured"):
        run(job(tmp_path / "store", *early), folder=tmp_path)
    assert not (tmp_path / "store").exists()
