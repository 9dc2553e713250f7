"""Purification by a diffusion model: noise is added, and taken out again with whatever was there before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.samples import Samples
from unlearnable.defenses.image import ImageDefense, as_floats, as_levels, rewritten
from unlearnable.options import Number, whole


class Diffusion(ImageDefense):
    """Diffuses each image for some steps and samples back, as AVATAR does.

    From `The devil's advocate: shattering the illusion of unexploitable data using diffusion models
    <https://arxiv.org/abs/2303.08500>`_ (Dolatabadi et al., 2023). ECLIPSE is the same with a model that was trained on a
    few clean images: give its folder.

    Args:
        path: Folder of an unconditional pixel-space diffusion model that predicts noise, as diffusers writes it: a
            `UNet2DModel` and a scheduler's `scheduler_config.json`, side by side or in `unet` and `scheduler`.
        steps: How many steps are diffused, and taken back; of a thousand the paper's are 100.
        batch_size: Images at once.

    Raises:
        FileNotFoundError: if the folder, or its configurations, are not there: nothing is ever downloaded.
        ImportError: if diffusers (the extra `diffusion`) is not installed.
    """

    purifies = True

    def __init__(self, *, path: str | Path, steps: Number = 100, batch_size: Number = 128) -> None:
        folder = Path(path).expanduser()
        self.net = folder / "unet" if (folder / "unet").is_dir() else folder
        self.scheduler = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
        for file in (self.net / "config.json", self.scheduler / "scheduler_config.json"):
            if not file.is_file():
                raise FileNotFoundError(
                    f"`defense.path` must be the folder of a diffusion model that diffusers wrote; {file} is not there. "
                    "Nothing is downloaded: fetch a model for images of this size, such as google/ddpm-cifar10-32."
                )
        try:
            import diffusers  # noqa: F401
        except ImportError as error:
            raise ImportError("defense=diffusion needs diffusers: pip install 'unlearnable[diffusion]'.") from error
        self.steps = whole("defense.steps", steps, what="a number of steps")
        self.batch_size = whole("defense.batch_size", batch_size, what="a number of images")
        self.files = sorted(
            {file for folder in (self.net, self.scheduler) for file in folder.iterdir() if file.is_file()}
        )

    @override
    def purify(
        self, train: Samples, *, seed: int, device: torch.device, work_dir: Path, progress: bool = False
    ) -> Samples:
        kept, predict = self._model(device)

        @torch.no_grad()
        def change(levels: Tensor, rows: Tensor) -> Tensor:
            draws = seeding.generator(device, seed, int(rows[0]))
            images = as_floats(levels.to(device)) * 2 - 1
            return as_levels((purified(images, predict, kept[: self.steps], draws) + 1) / 2)

        return rewritten(train, change, work_dir=work_dir, rows_at_once=self.batch_size, progress=progress)

    def _model(self, device: torch.device) -> tuple[Tensor, Callable[[Tensor, int], Tensor]]:
        """What is kept of the signal's variance after each step, and the model that predicts the noise at a step."""
        from diffusers import DDPMScheduler, UNet2DModel

        scheduler: Any = DDPMScheduler.from_pretrained(self.scheduler, local_files_only=True)
        net: Any = UNet2DModel.from_pretrained(self.net, local_files_only=True).to(device).eval()
        if scheduler.config.prediction_type != "epsilon":
            raise ValueError(f"The model must predict the noise; this one predicts {scheduler.config.prediction_type}.")
        kept = scheduler.alphas_cumprod.double()
        if self.steps > len(kept):
            raise ValueError(f"`defense.steps` must be at most the model's {len(kept)}; got {self.steps}.")
        return kept, lambda noisy, step: net(noisy, step).sample


def purified(
    images: Float[Tensor, "n c h w"],
    predict: Callable[[Tensor, int], Tensor],
    kept: Float64[Tensor, " steps"],
    draws: Generator,
) -> Float[Tensor, "n c h w"]:
    """Diffuses images to the last step and samples back step by step (Ho et al., 2020, algorithm 2).

    Args:
        images: In [−1, 1].
        predict: The noise in (images, step).
        kept: ᾱ, what is left of the signal's variance after each step.
        draws: Of the noise.
    """

    def noise() -> Tensor:
        return torch.randn(images.shape, generator=draws, device=images.device)

    shares = kept.tolist()
    found = shares[-1] ** 0.5 * images + (1 - shares[-1]) ** 0.5 * noise()
    for step in reversed(range(len(shares))):
        now, before = shares[step], shares[step - 1] if step else 1.0
        guess = (found - (1 - now) ** 0.5 * predict(found, step)) / now**0.5
        guess = guess.clamp(-1, 1)
        alpha = now / before
        found = (before**0.5 * (1 - alpha) * guess + alpha**0.5 * (1 - before) * found) / (1 - now)
        if step:
            found = found + ((1 - alpha) * (1 - before) / (1 - now)) ** 0.5 * noise()
    return found
