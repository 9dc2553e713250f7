"""The section of defences: its table, its matrices, distance against recovery, what the terminal says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.test_page import _unpacked
from tests.results._sweeps import write_sweep
from tests.results.test_defended import made, sweep
from unlearnable.report.build import read
from unlearnable.report.figures.defended import heat, recovery
from unlearnable.report.findings import findings
from unlearnable.report.page import page
from unlearnable.report.papers import sheets
from unlearnable.report.render_matplotlib import draw
from unlearnable.report.style import looks
from unlearnable.report.terminal import print_tables
from unlearnable.results.comparison import comparisons
from unlearnable.results.defended import defended


def test_the_page_has_the_matrices_and_what_comes_back(tmp_path: Path) -> None:
    text = page(*read([sweep(tmp_path)]))
    figures = json.loads(_unpacked(text, "figures-data"))
    accuracy = figures["defended-0"][0][0]["data"][0]
    assert (accuracy["x"], accuracy["y"]) == (["none", "gray", "cutout"], ["clean", "em", "ops", "lsp"])
    assert accuracy["z"][1] == pytest.approx([0.21, 0.84, 0.28])  # means over the seeds
    recovered = figures["defended-1"][0][0]["data"][0]
    assert recovered["text"] == [["0.00", "0.90", "0.10"], ["0.00", "-0.20", "0.50"], ["–", "–", "–"]]
    points = {trace["name"]: trace for trace in figures["recovery"][0][0]["data"]}
    assert set(points) == {"em", "ops"}  # nothing to recover from LSP
    assert points["em"]["x"] == pytest.approx([0, 0.9, 0.1])
    assert "4.0 %" in text  # what grey costs on clean data
    assert "gray" in text
    assert "as reported by APBench, unverified" in text


def test_a_sweep_without_defences_has_no_such_section(tmp_path: Path) -> None:
    assert 'id="defenses"' not in page(*read([sweep(tmp_path, leave_out=("gray", "cutout"))]))


def test_the_findings_name_the_best_defence_and_the_rank_correlation(tmp_path: Path) -> None:
    _, cells = read([sweep(tmp_path)])
    said = " ".join(findings(comparisons(cells), cells))
    assert "Defence that gives back most of the accuracy, and its share: em gray 0.90, ops cutout 0.50." in said


def test_the_terminal_shows_accuracy_share_and_distance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ratios = {"none": 0.1, "gray": 0.9, "cutout": 0.2}
    print_tables(*read([write(tmp_path, ratios)]))
    said = capsys.readouterr().out
    assert "0.83 · 0.90 · 0.90" in said
    assert "Spearman's ρ = 1.00" in said


def test_the_figures_for_papers_are_drawn(tmp_path: Path) -> None:
    _, cells = read([write(tmp_path, {"none": 0.1, "gray": 0.9, "cutout": 0.2})])
    names = {name for name in sheets(cells) if name.startswith("defended_")}
    assert names == {f"defended_{what}" for what in ("accuracy", "recovered", "ud", "geometric", "recovery")}
    (one,) = defended(cells)
    chart = heat(one, "geometric")
    assert chart is not None
    assert chart.heat is not None
    texts = [text for text in draw([chart]).axes[0].texts if text.get_text() in ("0.10", "0.90", "0.20")]
    # On the logarithmic scale from 0.1 to 10, 0.1 is as dark as it gets, 0.9 nearly white.
    assert [(text.get_text(), text.get_color()) for text in texts] == [("0.10", "w"), ("0.90", "k"), ("0.20", "w")]
    points = recovery(one, looks(["em"]))
    assert points is not None
    assert draw([points]).axes[0].get_yscale() == "log"


def write(folder: Path, ratios: dict[str, float]) -> Path:
    """EM under each defence, with SALs that are so many times the clean runs'."""
    return write_sweep(folder, *[made("em", defense, ratio=ratio) for defense, ratio in ratios.items()])
