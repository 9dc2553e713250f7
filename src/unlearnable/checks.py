"""Bad input ends here, before anything is loaded, trained or stored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    import torch
    from lightning.pytorch import LightningModule

    from unlearnable.data import ImageDataModule


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


#: Option → (what holds, the rule in words).
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "eps": (
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and v > 0,
        "a finite number above 0: SAL's radius, relative to the norm of a layer's weights (the paper's is 0.05)",
    ),
    "steps": (lambda v: _whole(v) and v >= 1, "a whole number of SAL steps, at least 1 (the paper's is 10)"),
    "seed": (lambda v: _whole(v) and 0 <= v < 2**31, "a whole number from 0 to 2³¹ − 1"),
    "trainer.max_epochs": (lambda v: _whole(v) and v >= 1, "a whole number of epochs, at least 1"),
    "sal.every_n_epochs": (lambda v: _whole(v) and v >= 1, "a whole number of epochs, at least 1"),
    "sal.samples": (lambda v: v is None or (_whole(v) and v >= 1), "a number of images, at least 1, or null for all"),
    "sal.split": (lambda v: v in ("train", "test"), "'train' (what the model is trained on) or 'test'"),
}


def check_values(config: DictConfig) -> None:
    """Checks the values that no part's constructor sees.

    Raises:
        ValueError: naming option, rule and value.
        omegaconf.MissingMandatoryValue: if an option that the user must choose is missing.
    """
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ValueError(f"`{missing[0]}` has no default: give it, as in `python run.py … {missing[0]}=VALUE`.")
    for option, (holds, rule) in _RULES.items():
        value = OmegaConf.select(config, option)
        if not holds(value):
            raise ValueError(f"`{option}` must be {rule}; got {value!r}.")
    if config.sal.every_n_epochs > config.trainer.max_epochs:
        raise ValueError(
            f"`sal.every_n_epochs` = {config.sal.every_n_epochs} is above `trainer.max_epochs` = "
            f"{config.trainer.max_epochs}: SAL would never be measured."
        )


def check_trainer(config: DictConfig) -> torch.device:
    """Builds the Trainer once, for nothing but its complaints, and returns the device it trains on.

    Raises:
        ValueError: if the accelerator is not there or an argument is wrong.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from unlearnable.training import quiet

    accelerator = config.trainer.accelerator
    build = instantiate(config.trainer, _partial_=True)
    try:
        with quiet():
            trainer = build(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except MisconfigurationException as error:
        raise ValueError(
            f"`trainer.accelerator` = {accelerator} cannot be used here: {error} "
            "Use trainer.accelerator=auto (what is there) or cpu."
        ) from error
    return trainer.strategy.root_device


def check_sal(config: DictConfig, module: LightningModule, data: ImageDataModule) -> None:
    """Measures one SAL step on two images, so that wrong settings end here and not after an epoch of training.

    Raises:
        ValueError, TypeError: what `measure_sal` says of its arguments.
    """
    from unlearnable.callbacks import SharpnessAwareLearnability

    settings: Any = OmegaConf.to_container(config.sal, resolve=True)
    SharpnessAwareLearnability(**settings).measure_tasks(module, data, 2, steps=1)


def check_data(config: DictConfig, data: ImageDataModule) -> None:
    """Checks what is asked of the data against the data.

    Raises:
        ValueError: if the probe is larger than its split.
    """
    samples, split = config.sal.samples, config.sal.split
    there = len(data.train if split == "train" else data.test)
    if samples is not None and samples > there:
        raise ValueError(
            f"`sal.samples` = {samples}, but the {split} split has {there} images. Use at most {there}, or null for all."
        )
