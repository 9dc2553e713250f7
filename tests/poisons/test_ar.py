from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from tests._inputs import seeded
from unlearnable.poisons.ar import AR, autoregress, draw_coefficients, load_coefficients, response

from ._inputs import grey_set, samples_of


def one_by_one(coefficients: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """The definition, value by value: each is the window's weighted sum, its own weight being zero."""
    result = start.clone()
    for i in range(2, start.shape[2]):
        for j in range(2, start.shape[3]):
            result[:, :, i, j] = (result[:, :, i - 2 : i + 1, j - 2 : j + 1] * coefficients).sum((2, 3))
    return result


@pytest.mark.parametrize("shape", [(12, 12), (7, 15), (15, 7), (3, 3)])
def test_diagonals_give_what_the_definition_gives(shape: tuple[int, int]) -> None:
    coefficients = draw_coefficients(5, 3, seeded(0)).double() * 0.3
    start = torch.randn(5, 3, *shape, generator=seeded(1), dtype=torch.float64)
    assert_close(autoregress(coefficients, start), one_by_one(coefficients, start))


def test_the_start_is_left_as_it_was() -> None:
    start = torch.randn(1, 1, 8, 8, generator=seeded(1))
    before = start.clone()
    autoregress(draw_coefficients(1, 1, seeded(0)), start)
    assert torch.equal(start, before)


def test_coefficients_sum_to_one_and_the_last_is_zero() -> None:
    coefficients = draw_coefficients(50, 3, seeded(0))
    assert_close(coefficients.sum((2, 3)), torch.ones(50, 3), atol=1e-3, rtol=1e-3)
    assert (coefficients[..., 2, 2] == 0).all()


def test_processes_are_those_whose_noise_stays_short() -> None:
    # The public code's rule: the length of the 3×32×32 noise, of three starts, is at most 50.
    def lengths(method: AR) -> torch.Tensor:
        coefficients = method.search(10, 3, seeded(0))
        starts = [torch.randn(10, 3, 36, 36, generator=seeded(s)) for s in range(5)]
        return torch.stack([autoregress(coefficients, x)[:, :, 4:, 4:].flatten(1).norm(dim=1) for x in starts])

    usual, short = lengths(AR(radius=1.0)), lengths(AR(radius=1.0, max_length=30, min_response=5))
    assert usual.median() < 50
    assert short.median() < 30 < usual.max()


def test_a_filter_answers_to_the_noise_of_other_classes_alone() -> None:
    coefficients = AR(radius=1.0).search(10, 3, seeded(0))
    start = torch.randn(10, 3, 36, 36, generator=seeded(1))
    noise = autoregress(coefficients, start)[:, :, 4:, 4:]
    noise = noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    answers = response(coefficients, noise)  # [noise, filter]
    assert answers.diagonal().max() < 0.05
    later = torch.ones(10, 10).tril(-1).bool()  # the search compares with the processes found before
    assert answers[later].min() > 5  # the search asks 10 of one draw of the noise; this is another draw
    assert answers[~torch.eye(10).bool()].min() > 0.5


def test_noise_of_an_image_obeys_its_class_s_process() -> None:
    coefficients = AR(radius=1.0).search(2, 3, seeded(0))
    method = AR(radius=1.0)
    method.coefficients = coefficients
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    grey = samples_of(torch.full((6, 3, 32, 32), 128, dtype=torch.uint8), labels, 2)
    noise = (method.apply(grey, seed=0).inputs.float() - 128) / 255
    answers = response(coefficients, noise)
    own = answers.gather(1, labels[:, None]).squeeze(1)
    other = answers.gather(1, 1 - labels[:, None]).squeeze(1)
    # Rounding to 8 bits leaves an answer of its own, of about a third of a grey level a place.
    assert (own < 0.5 * other).all()
    assert not torch.equal(noise[0], noise[2])  # same class, another start


def test_coefficients_load_from_a_list_as_from_a_tensor(tmp_path: Path) -> None:
    coefficients = draw_coefficients(4, 3, seeded(0))
    torch.save(list(coefficients), tmp_path / "list.pt")
    torch.save(coefficients, tmp_path / "tensor.pt")
    assert torch.equal(load_coefficients(tmp_path / "list.pt"), coefficients)
    assert torch.equal(load_coefficients(tmp_path / "tensor.pt"), coefficients)


def test_files_without_coefficients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`params` must name a file with AR coefficients"):
        AR(radius=1.0, params=tmp_path / "none.pt")
    torch.save(torch.zeros(4, 3, 5, 5), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"found \(4, 3, 5, 5\)"):
        AR(radius=1.0, params=tmp_path / "other.pt")
    torch.save(torch.ones(4, 3, 3, 3), tmp_path / "last.pt")
    with pytest.raises(ValueError, match="last coefficient"):
        AR(radius=1.0, params=tmp_path / "last.pt")
    torch.save(draw_coefficients(2, 3, seeded(0)), tmp_path / "few.pt")
    samples = grey_set(3, 3, size=8)
    with pytest.raises(ValueError, match="`params` must hold coefficients for 3 classes of 3 channels; found 2 of 3"):
        AR(radius=1.0, params=tmp_path / "few.pt").check(samples)


def test_a_search_that_cannot_succeed_ends_with_the_remedy() -> None:
    with pytest.raises(RuntimeError, match="lower `min_response`"):
        AR(radius=1.0, min_response=1e6, max_candidates=3000).search(3, 3, seeded(0))
