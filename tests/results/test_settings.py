"""Which options tell runs apart: those that change the training or the measurement, whatever else differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.results._sweeps import result, write_sweep
from unlearnable.results.reading import read_sweeps
from unlearnable.results.records import Run
from unlearnable.results.settings import portable


def _runs(folder: Path, *made: dict[str, Any]) -> list[Run]:
    return list(read_sweeps([write_sweep(folder / "sweep", *made)]).runs)


def _machine(name: str) -> dict[str, Any]:
    """Parts of the configuration that another machine or user has otherwise."""
    return {
        "store": {"dir": f"/home/{name}/store"},
        "logger": {"_target_": f"unlearnable.loggers.{name}", "mode": name},
        "callbacks": {name: {"_target_": name}},
        "data": {"data_dir": f"/data/{name}"},
    }


def test_what_changes_neither_training_nor_measurement_is_no_setting(tmp_path: Path) -> None:
    made = [result(poison, **_machine(name)) for poison, name in (("em", "here"), ("ops", "there"), ("tap", "there"))]
    assert [(run.variant, run.settings) for run in _runs(tmp_path, *made)] == [("", "")] * 3


def test_any_option_that_the_keys_ignore_is_silent_whatever_its_name(tmp_path: Path) -> None:
    # The digests of `result` depend on the trainer's options alone if they are given before they are made.
    made = [result("em"), result("ops"), result("tap")]
    for number, entry in enumerate(made):
        entry["config"]["trainer"]["log_every_n_steps"] = number
        entry["config"]["dataset"] = {"workers": number}
    assert {run.settings for run in _runs(tmp_path, *made)} == {""}


def test_seeds_that_were_run_on_two_machines_are_one_cell(tmp_path: Path) -> None:
    made = [result("em", seed=seed, **_machine(name)) for seed, name in ((0, "here"), (1, "there"))]
    (runs,) = read_sweeps([write_sweep(tmp_path / "sweep", *made)]).cells.values()
    assert [run.seed for run in runs] == [0, 1]


def test_seeds_that_were_measured_otherwise_are_two_cells(tmp_path: Path) -> None:
    made = [result("em", seed=seed, sal={"samples": samples}) for seed, samples in ((0, 64), (1, 512))]
    assert [run.settings for run in _runs(tmp_path, *made)] == ["sal.samples=64", "sal.samples=512"]


def test_options_that_repeat_the_seed_or_one_another_are_told_once(tmp_path: Path) -> None:
    made = [
        result(
            "em",
            seed=seed,
            trainer={"max_epochs": epochs},
            data={"protocol": {"max_epochs": epochs}, "split_seed": seed},
            options={"start": seed},
        )
        for seed in (0, 1)
        for epochs in (6, 12)
    ]
    assert [run.settings for run in _runs(tmp_path, *made)] == ["trainer.max_epochs=6", "trainer.max_epochs=12"] * 2
    assert {run.variant for run in _runs(tmp_path / "again", *made)} == {""}


def test_a_budget_that_only_the_poison_takes_over_is_told_as_its_radius(tmp_path: Path) -> None:
    made = []
    for radius in (0.03, 0.06):
        entry = result("em", options={"radius": radius})
        entry["config"]["dataset"] = {"budget": {"linf": radius}}  # the clean reference does not depend on it
        made.append(entry)
    assert [(run.label, run.settings) for run in _runs(tmp_path, *made)] == [
        ("em (radius=0.03)", ""),
        ("em (radius=0.06)", ""),
    ]


def test_a_folder_tells_imports_apart_where_nothing_else_does(tmp_path: Path) -> None:
    made = [result("em", options={"path": f"/data/{name}", "kind": "images"}) for name in ("a", "b")]
    assert [run.label for run in _runs(tmp_path, *made)] == ["em (path=/data/a)", "em (path=/data/b)"]


def test_an_export_is_no_other_poison(tmp_path: Path) -> None:
    made = [result("em", options={"export": export}) for export in (None, "png")]
    records = read_sweeps([write_sweep(tmp_path / "sweep", *made)])
    assert [run.label for run in records.runs] == ["em"]
    assert list(records.repeated) == ["sweep/0-em"]  # one and the same measurement


def test_callbacks_that_change_the_training_are_told_although_the_reference_is_the_same(tmp_path: Path) -> None:
    made = [result("em", callbacks={"stop": {"patience": patience}}) for patience in (1, 2)]
    for entry, trajectory in zip(made, ("short", "long"), strict=True):
        entry["keys"]["trajectory"] = trajectory
    assert [run.settings for run in _runs(tmp_path, *made)] == [
        "callbacks.stop.patience=1",
        "callbacks.stop.patience=2",
    ]


def test_a_portable_configuration_does_not_say_where_things_lie() -> None:
    places = {"data_dir": "/data", "store_dir": "/store", "download": False}
    config = {**_machine("here"), "dataset": {**places, "subset": 5, "surrogate": {"width": 8}}, "seed": 0}
    kept = {"dataset": {"subset": 5, "surrogate": {"width": 8}}, "seed": 0}
    assert portable({name: config[name] for name in ("store", "logger", "dataset", "seed")}) == kept
