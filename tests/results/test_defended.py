"""What a defence gives back and costs, from made-up sweeps with accuracies that are worked by hand."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results._sweeps import result, write_sweep
from unlearnable.results.cells import cells
from unlearnable.results.comparison import by_defense, defense_label, transferred_orders, transfers
from unlearnable.results.defended import Defended, against_published, defended
from unlearnable.results.reading import read_sweeps
from unlearnable.results.rows import write_tables

#: Poison → defence → test accuracy of seed 0; seed 1 has 0.02 more.
ACCURACIES = {
    "clean": {"none": 0.90, "gray": 0.86, "cutout": 0.91},
    "em": {"none": 0.20, "gray": 0.83, "cutout": 0.27},
    "ops": {"none": 0.40, "gray": 0.30, "cutout": 0.65},
    "lsp": {"none": 0.88, "gray": 0.85, "cutout": 0.88},
}


def made(poison: str, defense: str, *, seed: int = 0, ratio: float = 1.0, **more: Any) -> dict[str, Any]:
    """A job's result under a defence; its SALs are those of the clean run times `ratio`."""
    one = result(poison, seed=seed, **more)
    one["config"]["choices"]["defense"] = one["defense"] = defense
    for where in (one["keys"], one["keys"]["reference"]):
        where["trajectory"] += defense
        where["measure"] = {"sal": where["trajectory"]}
    one["sal"] = (ratio * np.array(one["clean_sal"])).tolist()
    one["test_acc"] = ACCURACIES[poison][defense] + 0.02 * seed
    one["clean_test_acc"] = ACCURACIES["clean"][defense] + 0.02 * seed
    return one


def sweep(folder: Path, *, leave_out: tuple[str, ...] = ()) -> Path:
    return write_sweep(
        folder,
        *[
            made(poison, defense, seed=seed)
            for poison in ACCURACIES
            for defense in ("gray", "none", "cutout")
            for seed in (0, 1)
            if defense not in leave_out
        ],
    )


def matrix(folder: Path) -> Defended:
    (found,) = defended(cells(read_sweeps([folder])))
    return found


def test_the_share_that_comes_back_is_of_what_the_poison_takes(tmp_path: Path) -> None:
    one = matrix(sweep(tmp_path))
    assert (one.methods, one.defenses) == (["em", "ops", "lsp"], ["none", "gray", "cutout"])
    # EM takes 0.90 − 0.20 = 0.70; grey gives back 0.83 − 0.20 = 0.63 of it, whatever the seed.
    assert one.recovered("em", "gray") == pytest.approx(0.9)
    assert one.recovered("em", "cutout") == pytest.approx(0.1)
    assert one.recovered("ops", "gray") == pytest.approx(-0.2)  # worse than without a defence
    assert one.recovered("em", "none") == 0
    assert math.isnan(one.recovered("lsp", "gray"))  # takes two points: a share of that is noise


def test_a_defence_costs_what_clean_runs_lose_by_it(tmp_path: Path) -> None:
    one = matrix(sweep(tmp_path))
    assert one.clean_acc["gray"] == pytest.approx(0.87)  # mean of 0.86 and 0.88
    assert one.cost("gray") == pytest.approx(0.04)
    assert one.cost("cutout") == pytest.approx(-0.01)


def test_shares_go_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    jobs = [made("em", "none", seed=0), made("em", "none", seed=1), made("em", "gray", seed=1)]
    assert matrix(write_sweep(tmp_path, *jobs)).recovered("em", "gray") == pytest.approx(0.9)


def test_without_an_undefended_run_nothing_is_said_to_come_back(tmp_path: Path) -> None:
    one = matrix(sweep(tmp_path, leave_out=("none",)))
    assert math.isnan(one.recovered("em", "gray"))
    assert math.isnan(one.cost("gray"))
    assert math.isnan(one.correlation.rho)


def test_the_distance_is_ranked_against_what_comes_back(tmp_path: Path) -> None:
    # Within a method the distance falls where accuracy comes back; between methods it rises.
    ratios = {
        ("em", "none"): 0.3, ("em", "gray"): 0.1, ("em", "cutout"): 0.2,
        ("ops", "none"): 0.9, ("ops", "gray"): 1.0, ("ops", "cutout"): 0.8,
    }  # fmt: skip
    one = matrix(write_sweep(tmp_path, *[made(*pair, ratio=ratio) for pair, ratio in ratios.items()]))
    # Recovered: EM 0, 0.9, 0.1; OPS 0, −0.2, 0.5. Its ranks 2.5, 6, 4, 2.5, 1, 5 beside 3, 1, 2, 5, 6, 4 of the distance.
    # Centred: −1, 2.5, 0.5, −1, −2.5, 1.5 and −0.5, −2.5, −1.5, 1.5, 2.5, 0.5; products sum to −13.5.
    assert one.correlation.n == 6
    assert one.correlation.rho == pytest.approx(-13.5 / math.sqrt(17 * 17.5))
    assert one.within == pytest.approx(-1)


def test_apbenchs_order_is_compared_under_each_defence_without_methods_of_another_algorithm(tmp_path: Path) -> None:
    jobs = [made(poison, defense) for poison in ("em", "ops", "lsp") for defense in ("none", "gray")]
    rem = {**made("em", "gray"), "poison": "rem"}
    together, bare, gray = against_published(matrix(write_sweep(tmp_path, *jobs, rem)))
    assert (bare.defense, bare.here, bare.reported) == ("none", ["em", "ops", "lsp"], ["lsp", "ops", "em"])
    assert bare.correlation.rho == -1
    assert (gray.here, gray.reported) == (["ops", "em", "lsp"], ["ops", "lsp", "em"])
    assert gray.correlation.rho == pytest.approx(0.5)
    assert together.correlation.n == 6


def test_options_of_a_defence_are_columns_of_their_own(tmp_path: Path) -> None:
    jobs = [made("em", "none")]
    for quality in (10, 50):
        job = made("em", "gray")
        job["config"]["defense"] = {"quality": quality}
        job["keys"]["trajectory"] += str(quality)
        job["keys"]["reference"]["trajectory"] += str(quality)
        jobs.append(job)
    found = by_defense(cells(read_sweeps([write_sweep(tmp_path, *jobs)])))
    assert {title: [*map(defense_label, family)] for title, family in found.items()} == {
        "all jobs": ["none", "gray (quality=10)", "gray (quality=50)"]
    }


def test_beta_goes_between_models_not_between_defences(tmp_path: Path) -> None:
    assert transfers(cells(read_sweeps([sweep(tmp_path / "one")]))) == {}
    jobs = [
        made(poison, defense, model={"width": width})
        for poison in ("em", "ops", "lsp")
        for defense in ("none", "gray")
        for width in (8, 16)
    ]
    found = cells(read_sweeps([write_sweep(tmp_path / "two", *jobs)]))
    for moved in (transfers(found), transferred_orders(found)):
        assert {title: {*one.settings} for title, one in moved.items()} == {
            title: {"model.width=8", "model.width=16"} for title in ("defence none", "defence gray")
        }


def test_one_defence_is_no_matrix(tmp_path: Path) -> None:
    assert defended(cells(read_sweeps([write_sweep(tmp_path, made("em", "gray"), made("ops", "gray"))]))) == []


def test_the_table_beside_the_page_has_each_pair(tmp_path: Path) -> None:
    records = read_sweeps([sweep(tmp_path / "sweep")])
    found = cells(records)
    write_tables(tmp_path, records, found)
    rows = list(csv.DictReader((tmp_path / "defended.csv").open()))
    assert len(rows) == 9
    (row,) = [row for row in rows if (row["poison"], row["defense"]) == ("em", "gray")]
    assert float(row["recovered"]) == pytest.approx(0.9)
    assert float(row["clean_cost"]) == pytest.approx(0.04)
    assert float(row["geometric"]) == pytest.approx(1)
