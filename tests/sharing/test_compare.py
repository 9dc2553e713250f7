"""Two sweeps side by side: what differs is said, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.results._sweeps import result, write_sweep
from tests.sharing._records import job, sweep
from unlearnable.sharing.comparing import compare


def test_a_sweep_does_not_differ_from_itself_elsewhere(tmp_path: Path) -> None:
    assert compare(sweep(tmp_path / "a", "clean", "em"), sweep(tmp_path / "b", "clean", "em")) == []


def test_settings_figures_and_methods_that_differ_are_said(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "a", job("em", 0), job("ops", 0))
    changed = job("em", 0, eps=0.1)
    changed["test_acc"] = 0.5
    second = write_sweep(tmp_path / "b", changed, job("tap", 0))
    assert compare(first, second) == [
        f"only in {first}: ops",
        f"only in {second}: tap",
        "em: eps 0.05 → 0.1",
        "em: test accuracy 0.2100 → 0.5000",
    ]


def test_a_method_is_found_among_more_settings(tmp_path: Path) -> None:
    one = write_sweep(tmp_path / "a", result("em"))
    more = write_sweep(tmp_path / "b", result("em"), result("em", eps=0.01))
    assert compare(one, more) == [f"only in {more}: em · 0.01"]


def test_another_verdict_is_said(tmp_path: Path) -> None:
    one, three = sweep(tmp_path / "a", "em", seeds=1), sweep(tmp_path / "b", "em", seeds=3)
    found = compare(one, three)
    assert "em: seeds [0] → [0, 1, 2]" in found
    assert "em: verdict by geometric distance: no verdict → differs from clean" in found
