"""Skill by hand, of one run and over seeds, and where tables and the page say it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from tests.results._sweeps import multi_task, write_sweep
from unlearnable.loggers.wandb_content import summary_values
from unlearnable.report.build import build, read
from unlearnable.report.terminal import print_tables
from unlearnable.results.rows import cell_row
from unlearnable.results.skill import best_prior, skill

ACC = {"metric": "acc", "higher_is_better": True}
RMSE = {"metric": "rmse", "higher_is_better": False}


def test_skill_by_hand() -> None:
    # Prior 0.2, clean 0.7: 0.3 is a fifth of the way.
    assert skill([0.3], [0.7], 0.2, **ACC).mean == pytest.approx(0.2)
    assert skill([0.7], [0.7], 0.2, **ACC).mean == 1
    assert skill([0.2], [0.7], 0.2, **ACC).mean == 0
    assert skill([0.1], [0.7], 0.2, **ACC).mean == pytest.approx(-0.2)  # worse than the prior
    # Errors: prior 2, clean 1. 1.75 is a quarter of the way, 3 as far behind the prior as clean is before it.
    assert skill([1.75], [1.0], 2.0, **RMSE).mean == pytest.approx(0.25)
    assert skill([3.0], [1.0], 2.0, **RMSE).mean == pytest.approx(-1)


def test_over_seeds_the_clean_runs_mean_is_one() -> None:
    # Prior 0.2; clean 0.6, 0.8: gains of 0.4 and 0.6, mean 0.5. Runs 0.3, 0.4: 0.1 / 0.5 and 0.2 / 0.5.
    found = skill([0.3, 0.4], [0.6, 0.8], 0.2, **ACC)
    assert found.values == pytest.approx((0.2, 0.4))
    assert (found.mean, found.std) == pytest.approx((0.3, math.sqrt(0.02)))
    own = skill([0.6, 0.8], [0.6, 0.8], 0.2, **ACC)
    assert (own.mean, own.std) == pytest.approx((1, math.sqrt(0.08)))


def test_a_clean_model_that_does_not_beat_the_prior_has_no_skill() -> None:
    found = skill([0.3], [0.2], 0.2, **ACC)
    assert found.undefined == "the clean model does not beat the prior: acc 0.2 and 0.2"
    assert math.isnan(found.mean)
    assert skill([1.0], [2.5], 2.0, **RMSE).undefined
    # Clean 0.25 and 0.35 beat 0.2 by 0.1 on average, more than their spread of 0.07; not 0.24 by 0.06.
    assert not skill([0.3], [0.25, 0.35], 0.2, **ACC).undefined
    close = skill([0.3], [0.25, 0.35], 0.24, **ACC)
    assert close.undefined == (
        "the clean models do not beat the prior by more than their spread: acc 0.3 ± 0.071 and 0.24"
    )
    assert skill([0.3], [0.25, 0.35], 0.34, **RMSE).undefined
    assert skill([math.nan], [0.7], 0.2, **ACC).undefined == "a test acc is no number"
    assert skill([0.3], [0.7], math.nan, **ACC).undefined == "there is no prior to compare with"


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(-1.0, "unlearnable"), (0.1, "unlearnable"), (0.11, "in between"), (0.49, "in between"), (0.5, "learnable")],
)
def test_what_a_skill_says(value: float, verdict: str) -> None:
    assert skill([value], [1.0], 0.0, **ACC).verdict == verdict


def test_the_better_prior_depends_on_the_direction() -> None:
    priors = {"constant": {"m": 0.3}, "pixel": {"m": 0.4}}
    assert best_prior(priors, "m", higher_is_better=True) == ("pixel", 0.4)
    assert best_prior(priors, "m", higher_is_better=False) == ("constant", 0.3)
    none, value = best_prior({"constant": {"m": math.nan}}, "m", higher_is_better=True)
    assert (none, math.isnan(value)) == (None, True)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep's folder with its tables, page and figures."""
    made = [multi_task(poison, seed=seed) for poison in ("clean", "em") for seed in (0, 1)]
    folder = write_sweep(tmp_path_factory.mktemp("skill") / "sweep", *made)
    build(folder, *read([folder]))
    return folder


def test_aggregates_and_summary_have_skill(sweep: Path) -> None:
    _, cells = read([sweep])
    (em,) = [cell for cell in cells if (cell.first.label, cell.first.task) == ("em", "scene")]
    # Clean 0.5 and 0.52, prior 0.1: the mean gain is 0.41. EM 0.14 and 0.16.
    row = cell_row(em)
    assert row["skill"] == pytest.approx(0.05 / 0.41)
    assert row["skill_std"] == pytest.approx(0.02 / math.sqrt(2) / 0.41)
    assert (row["prior"], row["skill_verdict"]) == (0.1, "in between")
    with (sweep / "summary.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["poison"], row["task"]) == ("em", "scene")]
    assert [float(row["skill"]) for row in rows] == pytest.approx([0.1, 0.06 / 0.42])
    assert {row["prior_by"] for row in rows} == {"constant"}
    # Of the sum of all losses, and of tasks whose clean model learns nothing, there is none.
    told = {cell.first.task: cell.skill.verdict for cell in cells if cell.first.label == "em"}
    assert told == {"scene": "in between", "depth": "learnable", "segmentation": "undefined"}


def test_page_and_terminal_say_it(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (sweep / "report.html").read_text()
    assert "By skill, data with em are in between for scene; learnable for depth; undefined for segmentation." in text
    reason = "Skill of segmentation is undefined: the clean models do not beat the prior by more than their spread"
    assert reason in text
    assert 'id="task-skill"' in text
    assert ">0.12 ± 0.03<" in text
    assert (sweep / "figures" / "skill.png").exists()
    print_tables(*read([sweep]))
    printed = capsys.readouterr().out
    assert "0.12 ± 0.03" in printed
    assert "Skill of segmentation is undefined" in printed


def test_a_run_on_weights_and_biases_has_it_in_its_summary() -> None:
    values = summary_values(multi_task("em"))
    assert (values["scene/skill"], values["scene/prior"]) == (pytest.approx(0.1), 0.1)
    assert values["depth/skill_verdict"] == "learnable"
