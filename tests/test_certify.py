"""Certificates: the bound is that of its definition and holds, recovery stays in its ball, and the command on a real job."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from tests._inputs import composed
from unlearnable import certify
from unlearnable.certify import certified_accuracy, models_needed, noisy_accuracies, recover
from unlearnable.experiment import run
from unlearnable.results.cells import cells, figure
from unlearnable.results.reading import read_sweeps


def plain_bound(accuracies: list[float], quantile: float, shift: float) -> float | None:
    """The definition, with the binomial distribution summed up."""
    n, share = len(accuracies), norm.cdf(norm.ppf(quantile) + shift)
    for k in range(1, n + 1):
        below = sum(comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k))
        if k >= share * n and below > 0.99:
            return sorted(accuracies)[k - 1]
    return None


@pytest.mark.parametrize(("quantile", "shift"), [(0.5, 0.0), (0.5, 1.0), (0.9, 0.5), (0.2, 2.0), (0.9, 4.0)])
def test_the_bound_is_its_definition(quantile: float, shift: float) -> None:
    accuracies = np.random.default_rng(0).random(120).tolist()
    assert certified_accuracy(accuracies, quantile=quantile, shift=shift) == plain_bound(accuracies, quantile, shift)


def test_so_many_networks_are_needed_for_a_bound() -> None:
    for quantile, shift in ((0.5, 1.0), (0.9, 0.5)):
        needed = models_needed(quantile=quantile, shift=shift)
        assert certified_accuracy([0.5] * needed, quantile=quantile, shift=shift) == 0.5
        assert certified_accuracy([0.5] * (needed - 1), quantile=quantile, shift=shift) is None


def test_the_bound_holds_wherever_the_centre_moves() -> None:
    """Accuracy as a function of one weight: 1 right of a threshold; the worst move is straight towards it."""
    rng, too_low = np.random.default_rng(1), 0
    for _ in range(200):
        bound = certified_accuracy((rng.normal(size=200) > 1.7).astype(float).tolist(), quantile=0.5, shift=1.0)
        too_low += bound is not None and bound < np.median((rng.normal(1.0, size=2000) > 1.7).astype(float))
    assert too_low == 0


def test_noise_leaves_the_network_as_it_was_and_has_the_given_deviation() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 3).requires_grad_(False)
    before = [parameter.clone() for parameter in net.parameters()]
    batches = [(torch.rand(50, 4), torch.randint(3, (50,)))]
    first, again = (noisy_accuracies(net, batches, sigma=2.0, models=20) for _ in range(2))
    assert first == again
    assert len(set(first)) > 1
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize("radius", [0.05, 1e6])
def test_recovery_learns_and_stays_in_its_ball(radius: float) -> None:
    torch.manual_seed(0)
    net, images = nn.Linear(8, 2), torch.randn(256, 8)
    batches = list(zip(images.split(32), (images[:, 0] > 0).long().split(32), strict=True))
    start = [parameter.detach().clone() for parameter in net.parameters()]
    before = certify.accuracy(net, batches)
    recover(net, batches, radius=radius, epochs=3, lr=0.5)
    moved = sum((p.detach() - s).square().sum() for p, s in zip(net.parameters(), start, strict=True)) ** 0.5
    assert certify.accuracy(net, batches) > before
    assert moved <= radius * (1 + 1e-5)
    assert radius > 1 or moved > 0.9 * radius


def test_the_command_writes_what_the_report_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for job, poison in (("0-clean", "clean"), ("1-ops", "ops")):
        (tmp_path / job).mkdir()
        given = ("experiment=smoke", f"poison={poison}", "logger=none", f"store.dir={tmp_path / '.store'}")
        run(composed(*given), folder=tmp_path / job)
    jobs = [str(tmp_path / job) for job in ("0-clean", "1-ops")]
    few = ["--models", "30", "--eta", "0.05", "--sigma", "0.05", "--quantile", "0.5", "--epochs", "1"]
    assert certify.main([*jobs, *few]) == 0
    assert capsys.readouterr().out.count("certified ≤ 0.") == 2
    found = json.loads((tmp_path / "1-ops" / "certificate.json").read_text())
    assert 0 <= found["noisy_accuracy"] <= found["certified"] <= 1
    ops = next(cell for cell in cells(read_sweeps([tmp_path])) if not cell.is_clean)
    assert (
        ops.figure("certificate.recovered")[0]
        == found["recovered"]
        == figure(ops.first.result, "certificate.recovered")
    )
    assert certify.main([*jobs, "--models", "30"]) == 0
    assert "the quantile 0.9 at η/σ = 4 takes" in capsys.readouterr().err
    assert certify.main([*jobs, "--sigma", "0"]) == 1
    assert "`--sigma` must be a number, above 0; got 0" in capsys.readouterr().err


def test_a_net_with_heads_is_one_of_its_task_and_images_without_a_class_do_not_count() -> None:
    class Headed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"class": self.head(images)}

    torch.manual_seed(0)
    net, images, labels = Headed(), torch.rand(30, 4), torch.randint(3, (30,))
    labels[:10] = -1
    expected = certify.accuracy(net.head, [(images[10:], labels[10:])])
    assert certify.accuracy(net, [(images, labels)]) == expected
    recover(net, [(images, labels)], radius=1.0, epochs=1, lr=0.1)
