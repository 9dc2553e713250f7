"""What is compared with what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.results._sweeps import METHODS, multi_task, result, write_sweep
from unlearnable.report.findings import findings, warnings
from unlearnable.results.cells import GEOMETRIC, cells
from unlearnable.results.comparison import axis_series, comparisons, numeric_axes, stabilities, trainings, transfers
from unlearnable.results.reading import read_sweeps
from unlearnable.results.records import Records


def _read(folder: Path, made: list[dict[str, Any]]) -> Records:
    return read_sweeps([write_sweep(folder / "sweep", *made)])


def test_methods_are_compared_within_a_setting_the_papers_first(tmp_path: Path) -> None:
    made = [result(poison, eps=eps) for eps in (0.01, 0.05) for poison in METHODS]
    compared = comparisons(cells(_read(tmp_path, made)))
    assert [one.title for one in compared] == ["ε = 0.05", "ε = 0.01"]
    assert [len(one.methods) for one in compared] == [4, 4]  # clean data are no method


def test_another_probe_is_another_way_of_measuring_another_width_another_model(tmp_path: Path) -> None:
    made = [
        result(poison, sal={"samples": samples}, model={"width": width})
        for poison in METHODS
        for samples in (64, 512)
        for width in (8, 16)
    ]
    records = _read(tmp_path, made)
    found = cells(records)
    assert set(stabilities(found)) == {"model.width=8", "model.width=16"}
    assert all(len(one.settings) == 2 for one in stabilities(found).values())
    moved = transfers(found)
    assert set(moved) == {"sal.samples=64", "sal.samples=512"}
    assert [one.settings for one in moved.values()] == [("model.width=8", "model.width=16")] * 2


def test_numeric_axes_are_those_that_were_varied(tmp_path: Path) -> None:
    made = [
        result(poison, eps=eps, sal={"samples": n}) for poison in METHODS for eps in (0.01, 0.05) for n in (64, 512)
    ]
    found = cells(_read(tmp_path, made))
    assert numeric_axes(found) == ["eps", "sal.samples"]
    series = axis_series(found, "eps")
    assert set(series) == {"sal.samples=64", "sal.samples=512"}
    assert list(series["sal.samples=64"]["em"]) == [0.01, 0.05]
    assert list(axis_series(found, "sal.samples")["ε = 0.01"]["em"]) == [64, 512]


def test_the_order_of_methods_is_compared_by_any_distance(tmp_path: Path) -> None:
    made = [result(poison, eps=eps) for poison in METHODS for eps in (0.01, 0.05)]
    for entry in made:  # at ε = 0.05 every poisoned SAL is the inverse of that at 0.01
        if entry["eps"] == 0.05 and entry["poison"] != "clean":
            entry["sal"] = (np.array(entry["clean_sal"]) ** 2 / np.array(entry["sal"])).tolist()
    found = cells(_read(tmp_path, made))
    assert stabilities(found)["all jobs"].tau[0, 1] != -1
    assert stabilities(found, GEOMETRIC)["all jobs"].tau[0, 1] == pytest.approx(-1)


def test_tasks_of_a_job_are_settings_of_their_own(tmp_path: Path) -> None:
    compared = comparisons(cells(_read(tmp_path, [multi_task("em"), multi_task("tap")])))
    assert [one.title for one in compared] == ["task scene", "task depth", "task segmentation"]


def test_findings_name_the_order_here_and_in_the_paper(tmp_path: Path) -> None:
    found = cells(_read(tmp_path, [result(poison, seed=seed) for poison in METHODS for seed in (0, 1, 2)]))
    said = " ".join(findings(comparisons(found), found))
    assert "Lowest UD: ops" in said
    assert (
        "here ops < em < tap; as reported (unverified) em < ops < tap: another order, Kendall's τ = 0.33 over 3 methods."
        in said
    )
    assert "over 4 methods" not in said
    assert "4 methods, p =" in said
    # SAL of ops is 0.15 of clean data's, that of tap 1.4.
    assert "Lowest geometric distance: ops 0.15" in said or "Lowest geometric distance: ops 0.1" in said
    assert "methods differ from clean data in their mean log SAL (t-test, 5 %)" in said


def test_two_methods_in_the_papers_order_are_no_agreement_to_count(tmp_path: Path) -> None:
    found = cells(_read(tmp_path, [result("ops"), result("tap")]))
    (said,) = [text for text in findings(comparisons(found), found) if "as reported" in text]
    assert said.endswith("the same order (one seed).")


def test_one_seed_is_warned_of(tmp_path: Path) -> None:
    records = _read(tmp_path, [result("em")])
    assert any(text.startswith("One seed only: UD has no spread") for text in warnings(records, cells(records)))


def test_a_list_of_layers_is_one_option(tmp_path: Path) -> None:
    choices = ("weights", ["l0", "l1"], ["l0", "l1", "l2"])
    made = [result(poison, sal={"layers": layers}) for poison in METHODS for layers in choices]
    found = cells(_read(tmp_path, made))
    (stability,) = stabilities(found).values()
    assert set(stability.settings) == {"sal.layers=weights", "sal.layers=[l0,l1]", "sal.layers=[l0,l1,l2]"}
    assert transfers(found) == {}


def test_trainings_are_told_apart_and_measurements_and_tasks_are_not(tmp_path: Path) -> None:
    made = [
        result(poison, data={"subset": subset}, sal={"samples": samples}, eps=eps)
        for poison in METHODS
        for subset in (300, 1000)
        for samples in (64, 512)
        for eps in (0.01, 0.05)
    ]
    found = trainings(cells(_read(tmp_path, made)))
    assert set(found) == {"dataset.subset=300", "dataset.subset=1000"}
    assert {len(family) for family in found.values()} == {4 * len(METHODS)}


def test_equal_figures_have_no_order_whichever_job_came_first(tmp_path: Path) -> None:
    said = {}
    for poisons in (("ops", "em", "tap"), ("em", "ops", "tap")):
        made = [result(poison) for poison in poisons]
        for one in made:
            if one["poison"] != "tap":  # no learnable layer
                one["sal"] = [[0.001 for _ in row] for row in one["sal"]]
        found = cells(_read(tmp_path / poisons[0], made))
        texts = findings(comparisons(found), found)
        said[poisons] = next(text for text in texts if "as reported" in text)
        assert any(text.startswith(f"Lowest UD: {poisons[0]} 0.00 and {poisons[1]} 0.00;") for text in texts)
    assert {*said.values()} == {
        "Order of UD, lowest first: here em = ops < tap; as reported (unverified) em < ops < tap: another order, Kendall's "
        "τ = 0.82 over 3 methods (one seed)."
    }


def test_ways_of_measuring_that_order_nothing_are_named_and_not_counted(tmp_path: Path) -> None:
    made = [result(poison, eps=eps) for poison in METHODS for eps in (0.01, 0.05)]
    made += [result(poison, eps=0.1) for poison in ("em", "tap")]
    found = cells(_read(tmp_path, made))
    (text,) = [
        text for text in findings(comparisons(found), found) if text.startswith("Order of the methods by geometric")
    ]
    assert "between 2 ways of measuring SAL" in text
    assert text.endswith("Not comparable, with fewer than three methods or all alike: ε = 0.1.")


def test_jobs_and_layers_are_counted_once_in_warnings(tmp_path: Path) -> None:
    repeated = [write_sweep(tmp_path / name, multi_task("em")) for name in ("a", "b")]
    records = read_sweeps(repeated)
    assert any(text.startswith("1 jobs repeat another job's setting") for text in warnings(records, cells(records)))
    made = [result(poison) for poison in ("clean", "em", "tap")]
    for one in made:
        one["clean_sal"][1][2] = None
    made[0]["sal"] = made[0]["clean_sal"]
    records = _read(tmp_path / "one", made)
    assert any(text.startswith("1 layer SALs were not finite") for text in warnings(records, cells(records)))
