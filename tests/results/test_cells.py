"""Cells over seeds, their tables and files."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from tests.results._sweeps import result, write_sweep
from unlearnable.distances import distance_spread, geometric_distance, spread_of
from unlearnable.report.build import build
from unlearnable.report.terminal import print_tables
from unlearnable.report.words import pm, said
from unlearnable.results.cells import GEOMETRIC, UD, cells
from unlearnable.results.reading import read_sweeps
from unlearnable.results.rows import cell_row, write_tables


def test_ud_is_the_mean_over_seeds_with_the_sample_standard_deviation(tmp_path: Path) -> None:
    made = [result("em", seed=seed) for seed in (0, 1, 2)]
    (cell,) = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    uds = [entry["ud"] for entry in made]
    assert cell.ud == pytest.approx(np.mean(uds))
    assert cell.ud_std == pytest.approx(np.std(uds, ddof=1))
    assert cell.figure("test_acc") == pytest.approx((0.22, 0.01))  # 0.21, 0.22, 0.23


def test_clean_runs_of_all_jobs_of_a_protocol_make_the_clean_spread(tmp_path: Path) -> None:
    # em has seeds 0 and 1, ops seed 2: there are three clean runs, six ordered pairs, for either.
    made = [result("em", seed=0), result("em", seed=1), result("ops", seed=2)]
    em, ops = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    assert em.spread is not None
    assert ops.spread is not None
    assert len(em.spread.clean_pairs) == len(ops.spread.clean_pairs) == 6


def test_one_seed_has_no_spread_and_no_verdict(tmp_path: Path) -> None:
    (cell,) = cells(read_sweeps([write_sweep(tmp_path / "sweep", result("em"))]))
    assert math.isnan(cell.ud_std)
    assert cell.short_verdict(UD) == cell.short_verdict(GEOMETRIC) == "no verdict"
    assert cell.value(GEOMETRIC) == pytest.approx(geometric_distance(cell.runs[0].sal, cell.clean[0]))
    assert np.isnan(cell.interval(GEOMETRIC)).all()


def test_clean_data_are_the_reference_not_a_method(tmp_path: Path) -> None:
    made = [result("clean", seed=seed) for seed in (0, 1)]
    (cell,) = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    assert cell.is_clean
    assert (cell.ud, cell.short_verdict(UD)) == (1.0, "reference")
    assert math.isnan(cell_row(cell)["p_value"])
    assert (cell.value(GEOMETRIC), cell.short_verdict(GEOMETRIC)) == (1.0, "reference")
    assert cell.told(GEOMETRIC) is None
    assert np.isnan(cell.interval(GEOMETRIC)).all()


def test_a_cell_whose_ud_cannot_be_had_says_why(tmp_path: Path) -> None:
    made = [result("em", seed=0), result("em", seed=1)]
    made[1]["sal"] = [row[:-1] for row in made[1]["sal"]]  # a layer less than the clean run has
    (cell,) = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    assert math.isnan(cell.ud)
    assert "same epochs and layers" in cell.note


def test_a_run_that_stopped_early_shortens_its_own_cell_alone(tmp_path: Path) -> None:
    made = [result(poison, seed=seed) for poison in ("em", "ops") for seed in (0, 1, 2)]
    whole = [cell.spread for cell in cells(read_sweeps([write_sweep(tmp_path / "whole", *made)]))]
    del made[5]  # no other job has the reference of em's seed 2 in all epochs
    for key in ("sal", "clean_sal", "loss", "clean_loss"):
        made[2][key] = made[2][key][:4]
    made[2] |= {"sal_epochs": [1, 2, 3, 4], "epochs_not_compared": [5, 6]}
    em, ops = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    own = {entry["seed"]: entry["sal"][:4] for entry in made[:3]}
    clean = {entry["seed"]: entry["clean_sal"][:4] for entry in made[:3]}
    assert em.spread == distance_spread(own, clean)
    assert em.value(GEOMETRIC) == spread_of("geometric", own, clean).value
    assert ops.spread is not None
    assert whole[1] is not None
    assert ops.spread.by_seed == {seed: ud for seed, ud in whole[1].by_seed.items() if seed < 2}
    assert set(ops.clean) == {0, 1}


def test_published_figures_stand_beside_the_method_as_it_is_published(tmp_path: Path) -> None:
    made = [result("em"), result("em", options={"radius": 16 / 255})]
    defended = result("em")
    defended["defense"] = defended["config"]["choices"]["defense"] = "gray"
    found = {
        (cell.first.result["defense"], bool(cell.first.variant)): cell.published
        for sweep, entries in (("a", made[:1]), ("b", made), ("c", [defended]))
        for cell in cells(read_sweeps([write_sweep(tmp_path / sweep, *entries)]))
    }
    assert (found["none", False].ud, found["none", False].test_acc) == (0.139, 0.2078)
    assert (found["none", True].ud, found["none", True].test_acc) == (None, None)
    assert (found["gray", False].ud, found["gray", False].test_acc) == (None, 0.9203)


def test_every_distance_has_its_interval_and_verdict_over_the_seeds(tmp_path: Path) -> None:
    made = [result("ops", seed=seed) for seed in (0, 1, 2)] + [result("clean", seed=3)]
    cell, _ = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    own = {entry["seed"]: entry["sal"] for entry in made[:3]}
    clean = {entry["seed"]: entry["clean_sal"] for entry in made}
    expected = spread_of("geometric", own, clean)  # four clean runs, three of them in pairs
    row = cell_row(cell)
    assert row["distance_geometric"] == cell.value(GEOMETRIC) == expected.value
    assert (row["distance_geometric_low"], row["distance_geometric_high"]) == (expected.low, expected.high)
    assert row["distance_geometric_p"] == expected.p_value
    assert row["distance_geometric_resolution"] == expected.resolution
    assert row["distance_geometric_seeds_needed"] == expected.seeds_needed
    assert row["distance_geometric_verdict"] == "differs from clean"
    assert row["distance_loss_ratio"] > 0  # the losses of all four clean runs are known
    assert "distance_equal_loss_p" not in row  # no spread is defined for it
    assert row["distance_equal_loss_std"] is not None


def test_what_needs_losses_is_missing_in_results_that_do_not_say_them(tmp_path: Path) -> None:
    made = [result("em", seed=seed) for seed in (0, 1)]
    for entry in made:
        del entry["clean_loss"]
    (cell,) = cells(read_sweeps([write_sweep(tmp_path / "sweep", *made)]))
    assert math.isnan(cell.value("loss_ratio"))
    assert math.isfinite(cell.value(GEOMETRIC))


def test_a_cell_without_a_ud_has_its_other_distances(tmp_path: Path) -> None:
    made = [result("em", seed=seed) for seed in (0, 1)]
    for entry in made:  # no two clusters in constant SAL
        entry["clean_sal"] = np.ones_like(entry["clean_sal"]).tolist()
        entry |= {"ud": None, "beta": None, "learnable_layers": [None] * 6, "clean_learnable_layers": [None] * 6}
    folder = write_sweep(tmp_path / "sweep", *made)
    (cell,) = cells(read_sweeps([folder]))
    assert (cell.short_verdict(UD), cell.note[:6]) == ("no value", "no UD:")
    assert cell.value(GEOMETRIC) < 1
    assert build(folder, read_sweeps([folder]), [cell])  # tables, page and figures


def test_both_files_hold_full_precision_and_every_job(tmp_path: Path) -> None:
    made = [result("em", seed=seed) for seed in (0, 1)]
    folder = write_sweep(tmp_path / "sweep", *made, failed=1)
    records = read_sweeps([folder])
    write_tables(folder, records, cells(records))
    jobs = list(csv.DictReader((folder / "summary.csv").open()))
    assert [(job["status"], job["seed"]) for job in jobs] == [("done", "0"), ("done", "1"), ("failed", "")]
    assert float(jobs[1]["ud"]) == made[1]["ud"]
    (aggregate,) = csv.DictReader((folder / "aggregates.csv").open())
    assert float(aggregate["ud"]) == np.mean([entry["ud"] for entry in made])
    assert aggregate["seeds"] == "0 1"


def test_the_terminal_shows_jobs_cells_and_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = [result("em", seed=seed) for seed in (0, 1)]
    records = read_sweeps([write_sweep(tmp_path / "sweep", *made, failed=1)])
    (cell,) = aggregates = cells(records)
    print_tables(records, aggregates)
    shown = capsys.readouterr().out
    assert pm(cell.ud, cell.ud_std) in shown
    assert said(cell, GEOMETRIC) in shown
    assert "2-rem failed: `poison.radius` must be positive; got -1." in shown


def test_numbers_are_shown_with_their_spread_where_there_is_one() -> None:
    assert (pm(0.45, 0.031), pm(0.45, math.nan), pm(math.nan, 0.1)) == ("0.450 ± 0.031", "0.450", "–")
