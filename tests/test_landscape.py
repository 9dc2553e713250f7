"""The landscape command on a real job: what it draws, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests._inputs import composed
from unlearnable import landscape
from unlearnable.experiment import run


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("landscape")
    folder = root / "0-em"
    folder.mkdir()
    run(composed("experiment=smoke", "poison=em", "logger=none", f"store.dir={root / 'store'}"), folder=folder)
    return folder


def test_it_draws_both_trajectories_and_a_layers_own_plane(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert landscape.main([str(job), "--points", "4", "--samples", "20", "--layers", "fc"]) == 0
    assert {"landscape.png", "landscape.pdf", "landscape-fc.png"} <= {path.name for path in job.iterdir()}
    assert "of the variance on the plane" in capsys.readouterr().out


def test_trajectories_start_at_one_point_and_the_losses_are_those_of_their_ends(job: Path) -> None:
    opened = landscape.Job(job)
    found = landscape.surfaces(opened, points=4, samples=20)
    clean, em = found.plane.coordinates["clean"], found.plane.coordinates["em"]
    np.testing.assert_allclose(clean[0], em[0], atol=1e-6)  # one initialisation
    assert len(clean) == len(em) == 3  # before training and after each of two epochs
    assert set(found.losses) == {"clean", "em"}
    assert all(np.isfinite(losses).all() and losses.shape == (4, 4) for losses in found.losses.values())


def test_an_interrupted_grid_goes_on_with_the_rows_that_are_missing(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unlearnable.probing import plane as analysis

    opened, original, made = landscape.Job(job), analysis.loss_rows, []

    def counted(*arguments: Any, **options: Any) -> Any:
        for row, values in original(*arguments, **options):
            if len(made) == 3:
                made.append(-1)
                raise KeyboardInterrupt
            made.append(row)
            yield row, values

    monkeypatch.setattr(analysis, "loss_rows", counted)
    with pytest.raises(KeyboardInterrupt):
        landscape.surfaces(opened, points=5, samples=20)
    landscape.surfaces(opened, points=5, samples=20)
    assert made == [0, 1, 2, -1, 3, 4, 0, 1, 2, 3, 4]  # clean images, stopped and continued, then em's


def test_what_it_cannot_open_is_said(tmp_path: Path, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert landscape.main([str(tmp_path)]) == 1
    assert "has no result.json" in capsys.readouterr().err
    assert landscape.main([str(job), "--layers", "nowhere"]) == 1
    assert "`--layer` must be one of" in capsys.readouterr().err


def test_weights_of_more_epochs_make_another_plane(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = landscape.Job(job)
    whole = landscape.surfaces(opened, points=3, samples=20)
    for name, weights in opened.trajectories.items():
        opened.trajectories[name], opened.epochs[name] = weights[::2], opened.epochs[name][::2]
    fewer = landscape.surfaces(opened, points=3, samples=20)
    assert not np.array_equal(whole.xs, fewer.xs)
    assert not np.array_equal(whole.losses["clean"], fewer.losses["clean"])
