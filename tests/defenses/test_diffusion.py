"""Diffusion: the sampler against distributions whose noise is known, and what is needed to run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests._inputs import seeded
from unlearnable.defenses.diffusion import Diffusion, purified

from ._inputs import CPU, training_set

#: ᾱ of a short linear schedule.
KEPT = torch.linspace(1e-4, 0.01, 200).double().mul(-1).add(1).cumprod(0)


def test_where_only_one_image_is_possible_it_comes_out() -> None:
    only = torch.rand(1, 3, 8, 8, generator=seeded(0)) * 1.6 - 0.8

    def predict(noisy: Tensor, step: int) -> Tensor:  # x_t = √ᾱ x₀ + √(1 − ᾱ) e, solved for e
        return (noisy - KEPT[step].sqrt() * only) / (1 - KEPT[step]).sqrt()

    found = purified(torch.rand(5, 3, 8, 8), predict, KEPT, seeded(1))
    torch.testing.assert_close(found, only.expand(5, -1, -1, -1).float(), atol=1e-4, rtol=0)


def test_samples_of_a_normal_distribution_have_its_spread() -> None:
    sigma = 0.2  # so that clipping to [−1, 1] plays no part

    def predict(noisy: Tensor, step: int) -> Tensor:  # E[e | x_t] for x₀ ~ N(0, σ²)
        kept = float(KEPT[step])
        return (1 - kept) ** 0.5 * noisy / (kept * sigma**2 + 1 - kept)

    start = sigma * torch.randn(2000, 1, 4, 4, generator=seeded(2))
    found = purified(start, predict, KEPT, seeded(3))
    assert found.std().item() == pytest.approx(sigma, rel=0.05)
    assert 0.01 < (found * start).mean().item() / sigma**2 < 0.9  # something of each image is left, and not all


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"`defense.path` must be the folder .*config.json is not there"):
        Diffusion(path=tmp_path / "nowhere")


def test_without_diffusers_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "scheduler_config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install 'unlearnable\[diffusion\]'"):
        Diffusion(path=tmp_path)


def test_a_model_of_diffusers_purifies(tmp_path: Path) -> None:
    diffusers: Any = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = diffusers.UNet2DModel(
            sample_size=16,
            block_out_channels=(8, 8),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
            layers_per_block=1,
        )
    net.save_pretrained(tmp_path / "model")
    diffusers.DDPMScheduler(num_train_timesteps=50).save_pretrained(tmp_path / "model")
    defense, train = Diffusion(path=tmp_path / "model", steps=5, batch_size=10), training_set()
    assert {file.name for file in defense.files} >= {"config.json", "scheduler_config.json"}
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        found.append(defense.purify(train, seed=0, device=CPU, work_dir=tmp_path / name).inputs)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], train.inputs)
    with pytest.raises(ValueError, match=r"`defense.steps` must be at most the model's 50; got 60"):
        Diffusion(path=tmp_path / "model", steps=60).purify(train, seed=0, device=CPU, work_dir=tmp_path)
