"""Arguments are read as the type that they stand for, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.poisons._inputs import TinyNet
from unlearnable.options import existing_file, number, switch, whole
from unlearnable.poisons.image.budget import check_budget
from unlearnable.poisons.random import RandomNoise
from unlearnable.poisons.rem import REM
from unlearnable.poisons.tap import TAP


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8/255", 8 / 255),
        (" 8 / 255 ", 8 / 255),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        (3, 3.0),
        ("0.5/2", 0.25),
        ("-1/4", -0.25),
    ],
)
def test_numbers_and_fractions_are_read(value: Any, expected: float) -> None:
    assert number("radius", value) == pytest.approx(expected)


@pytest.mark.parametrize(
    "value", [True, False, None, "", "/", "8/", "/255", "8/0", "8/255/2", "8÷255", "eight", "nan", "inf", float("nan"),
              float("-inf"), [1], "__import__('os')", "1/nan", 10**400]
)  # fmt: skip
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="`radius` must be a number, finite, or a fraction such as 8/255; got"):
        number("radius", value)


def test_bounds_are_told_with_the_value_as_it_was_written() -> None:
    assert number("share", "1/1", above=0, at_most=1) == 1
    with pytest.raises(ValueError, match="`share` must be a number, above 0 and at most 1; got 3/2"):
        number("share", "3/2", above=0, at_most=1)
    with pytest.raises(ValueError, match="`share` must be a number, at least 0 and below 1; got 1"):
        number("share", 1, at_least=0, below=1)


def test_whole_numbers_may_be_written_as_floats() -> None:
    assert whole("steps", 1e2) == 100
    assert isinstance(whole("steps", 1e2), int)
    for value in (1.5, True, "3", None, float("inf")):
        with pytest.raises(ValueError, match="`steps` must be a whole number"):
            whole("steps", value)
    with pytest.raises(ValueError, match="`steps` must be a whole number, at least 1; got 0"):
        whole("steps", 0)


def test_switches_are_true_or_false() -> None:
    assert switch("flip", True)
    with pytest.raises(ValueError, match="`flip` must be true or false; got 'yes'"):
        switch("flip", "yes")


def test_files_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "it.pt").touch()
    assert existing_file("params", "~/it.pt", what="coefficients") == tmp_path / "it.pt"
    with pytest.raises(FileNotFoundError, match=r"`params` must name a file with coefficients; .*none\.pt is not"):
        existing_file("params", "~/none.pt", what="coefficients")


def test_the_advice_for_a_radius_in_grey_levels_is_one_that_works() -> None:
    with pytest.raises(
        ValueError, match=r"must lie in \(0, 1\] .*; got 8\. For a budget of 8 grey levels write 8/255\."
    ):
        check_budget(8, "linf")
    assert RandomNoise(radius="8/255").radius == pytest.approx(8 / 255)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: check_budget(0.001, "linf"), "at least 1/255"),
        (lambda: check_budget(-1, "linf"), "`radius` must be a number, above 0; got -1"),
        (lambda: check_budget(1.5, "l0"), "number of pixels"),
        (lambda: check_budget(0.1, "l1"), "`norm` must be one of linf, l2, l0; got 'l1'"),
        (lambda: RandomNoise(radius=0.1, fraction=0), "`fraction` must be a number, above 0 and at most 1"),
        (lambda: RandomNoise(radius=0.1, fraction=[-1]), "`fraction` must be a whole number, at least 0"),
        (lambda: RandomNoise(radius=0.1, fraction=[]), "`fraction` as a list must name classes"),
        (lambda: RandomNoise(radius=0.1, batch_size=0), "`batch_size` must be a whole number, at least 1"),
        (lambda: TAP(surrogate=TinyNet, radius=0.1, steps=0), "`steps` must be a whole number, at least 1; got 0"),
        (
            lambda: REM(surrogate=TinyNet, radius=0.1, adversarial_radius="1/5"),
            r"`adversarial_radius` must lie in .*1/5",
        ),
    ],
)
def test_wrong_arguments_are_named(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
