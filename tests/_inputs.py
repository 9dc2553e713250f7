"""Inputs that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

ROOT = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """A folder of real data, or a skip with the reason where it is absent."""
    root = Path(os.environ.get("UNLEARNABLE_DATA_DIR", ROOT.parent / "shared" / "data"))
    folder = root / name
    if not folder.is_dir():
        pytest.skip(f"needs real data in {folder} (set UNLEARNABLE_DATA_DIR)")
    return folder


def seeded(seed: int) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def composed(*overrides: str) -> DictConfig:
    """The configuration that `python run.py <overrides>` hands to the experiment."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
    OmegaConf.set_struct(config, False)
    del config.hydra
    return config
