"""The commands that compare settings."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.results._sweeps import METHODS, result, write_sweep
from unlearnable.distances import calibration_of
from unlearnable.report import calibration, sensitivity, transfer
from unlearnable.report.build import read


def test_sensitivity_writes_a_row_for_each_two_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [result(poison, eps=eps) for poison in METHODS for eps in (0.01, 0.05, 0.1)]
    sweep = write_sweep(tmp_path / "sweep", *made)
    assert sensitivity.main([str(sweep)]) == 0
    rows = list(csv.DictReader((sweep / "sensitivity.csv").open()))
    assert [(row["setting"], row["other"]) for row in rows] == [
        ("ε = 0.01", "ε = 0.05"),
        ("ε = 0.01", "ε = 0.1"),
        ("ε = 0.05", "ε = 0.1"),
    ]
    # SAL is proportional to ε here, so UD and its order do not depend on it.
    assert all(float(row["tau"]) == pytest.approx(1) and row["methods"] == "4" for row in rows)
    # So does the geometric distance, up to τ = 10⁻³ of loss.
    assert all(float(row["tau_geometric"]) == pytest.approx(1) for row in rows)
    assert "mean Kendall's τ 1.00" in capsys.readouterr().out


def test_transfer_goes_over_several_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweeps = [
        write_sweep(tmp_path / dataset, *[result(poison, dataset=dataset) for poison in METHODS])
        for dataset in ("cifar10", "digits")
    ]
    assert transfer.main([*map(str, sweeps), "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "transfer.csv").open()))
    assert {(row["beta_of"], row["on"]) for row in rows} == {
        (a, b) for a in ("cifar10", "digits") for b in ("cifar10", "digits")
    }
    # Both have the same made-up SAL, so a foreign β is the own one.
    assert all(float(row["ud"]) == pytest.approx(float(row["own_ud"])) for row in rows)
    assert "cifar10" in capsys.readouterr().out
    geometric = {row["poison"]: float(row["own_geometric"]) for row in rows}
    _, cells = read(sweeps)
    assert geometric == pytest.approx({c.first.label: c.value("geometric") for c in cells if not c.is_clean})


def test_calibration_takes_ten_clean_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [result("clean", seed=seed, epochs=2) for seed in range(10)]
    sweep = write_sweep(tmp_path / "sweep", *made)
    assert calibration.main([str(sweep)]) == 0
    rows = {row["distance"]: row for row in csv.DictReader((sweep / "calibration.csv").open())}
    sal, losses = ({entry["seed"]: entry[name] for entry in made} for name in ("clean_sal", "clean_loss"))
    for name in ("ud", "geometric", "loss_ratio"):
        expected = calibration_of(name, sal, clean_losses=losses)
        assert (rows[name]["seeds"], rows[name]["splits"]) == ("10", "252")
        assert float(rows[name]["false_positives"]) == expected.false_positives
    assert float(rows["geometric"]["power_0.33"]) == calibration_of("geometric", sal).power[0.33]
    assert "relative_sharpness" in capsys.readouterr().out


def test_what_there_is_nothing_to_compare_in_is_refused_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = write_sweep(tmp_path / "sweep", result("em"))
    assert sensitivity.main([str(sweep)]) == 1
    assert "experiment=ablation" in capsys.readouterr().err
    assert transfer.main([str(sweep)]) == 1
    assert "experiment=transfer" in capsys.readouterr().err
    assert calibration.main([str(sweep)]) == 1
    assert "ten clean seeds" in capsys.readouterr().err
