"""Protocols: frozen configurations, each with a digest that any change of meaning changes.

`conf/protocol/<name>.yaml` is laid over the whole configuration, and the digest is of what comes out: a default that
changes elsewhere in `conf/` changes it too. `tests/sharing/test_protocols.py` holds the published digests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from unlearnable.identity import digest_of, plain

#: What a protocol fixes: the data, the model with its training, and the measurement.
_FIXED = ("dataset", "model", "task", "defense", "sal", "trainer")
#: What of these changes no figure, or says how poisons are made, which is the poison's affair; `PLACES` besides.
_FREE = (
    *("dataset.budget", "dataset.surrogate", "dataset.protocol"),
    *("trainer.accelerator", "trainer.devices", "trainer.keep", "trainer.stop_at_nan"),
)
#: Options that came after a protocol was published → the value at which all is as it was before.
_ADDED_SINCE: Mapping[str, Any] = {"trainer.compile": False, "dataset.words": []}


def configurations() -> Path:
    """`conf/`: inside the installed package, or at the top of the repository when run from its sources."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def composed(*overrides: str) -> DictConfig:
    """The configuration that `python run.py <overrides>` would run, without running it; all that is known is resolved."""
    before = HydraConfig.instance().cfg
    try:
        with initialize_config_dir(str(configurations().absolute()), version_base="1.3"):
            config = compose("config", overrides=list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(config)  # the names of what was chosen are read from it
            OmegaConf.set_struct(config, False)
            del config.hydra
            OmegaConf.resolve(config)
    finally:
        HydraConfig.instance().cfg = before
    return config


def protocols() -> list[str]:
    """The names of all protocols."""
    return sorted(path.stem for path in (configurations() / "protocol").glob("*.yaml"))


def protocol(name: str, *overrides: str) -> DictConfig:
    """The whole configuration by a protocol.

    Args:
        name: Of the protocol.
        *overrides: What it leaves open: the poison, the seed, where the data and the store are.

    Raises:
        ValueError: if there is no such protocol, or an override changes what it fixes.
    """
    if name not in protocols():
        raise ValueError(f"`protocol` must be one of {', '.join(protocols())}; got {name!r}.")
    config = composed(f"protocol={name}", *overrides)
    if overrides and (changed := differences(plain(config), name)):
        raise ValueError(f"The protocol {name} is frozen; `overrides` change {', '.join(changed)}.")
    return config


def meaning(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a resolved configuration means for figures: option → value.

    Nulls are left out, and classes are told by their names alone, so that moving one changes nothing.
    """
    from unlearnable.results.settings import PLACES, leaves, within

    fixed = leaves({group: config[group] for group in _FIXED})
    found = {option: _same(option, value) for option, value in fixed if not within(option, (*_FREE, *PLACES))}
    return {option: value for option, value in found.items() if _ADDED_SINCE.get(option, _ADDED_SINCE) != value}


def digest(config: Mapping[str, Any]) -> str:
    """Digest of a resolved configuration's meaning: equal for jobs whose figures may be compared."""
    return digest_of(meaning(config))


def protocol_digest(name: str) -> str:
    """Digest of a protocol."""
    return digest_of(_published(name, configurations()))


def differences(config: Mapping[str, Any], name: str) -> Sequence[str]:
    """In what a resolved configuration differs from a protocol: `option=value (protocol: value)`; empty if in nothing."""
    own, asked = meaning(config), _published(name, configurations())
    return [
        f"{option}={own.get(option)} (protocol: {asked.get(option)})"
        for option in sorted({*own, *asked})
        if own.get(option) != asked.get(option)
    ]


@cache
def _published(name: str, folder: Path) -> Mapping[str, Any]:  # noqa: ARG001
    """The meaning of a protocol in a folder of configurations; composing takes a while."""
    return meaning(plain(protocol(name)))


def _same(option: str, value: Any) -> Any:
    if option.endswith("_target_"):
        return str(value).rpartition(".")[2]
    return int(value) if isinstance(value, float) and value.is_integer() else value
