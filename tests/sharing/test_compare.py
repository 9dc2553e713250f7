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
    wide = [result(poison, model={"width": width}) for poison in ("em", "ops") for width in (8, 16)]
    some, all_ = write_sweep(tmp_path / "c", *wide[1::2]), write_sweep(tmp_path / "d", *wide)
    assert compare(some, all_) == [f"only in {all_}: {poison} · model.width=8" for poison in ("em", "ops")]


def test_another_option_of_a_method_is_a_difference_not_another_method(tmp_path: Path) -> None:
    one, other = (
        write_sweep(tmp_path / name, result("em", options={"radius": radius}), result("ops"))
        for name, radius in (("a", 0.03), ("b", 0.06))
    )
    assert compare(one, other) == ["em: poison.radius 0.03 → 0.06"]


def test_another_verdict_is_said(tmp_path: Path) -> None:
    one, three = sweep(tmp_path / "a", "em", seeds=1), sweep(tmp_path / "b", "em", seeds=3)
    found = compare(one, three)
    assert "em: seeds [0] → [0, 1, 2]" in found
    assert "em: verdict by geometric distance: no verdict → differs from clean" in found
