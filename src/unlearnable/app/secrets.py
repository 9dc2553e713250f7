"""No key or password gets into a configuration, which is saved, logged and shared."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

_SECRET = re.compile(r"(^|_)(api_?key|access_?key|token|password|passwd|secret)s?$", re.IGNORECASE)
_SHORTEST = 8  # shorter values of environment variables are no secrets, and occur by chance


class NoSecrets(Callback):
    """Ends the command, before anything is written, if an option holds a secret or the value of an environment's one."""

    @override
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._check(config)

    @override
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self._check(config)

    def _check(self, config: DictConfig) -> None:
        if (name := next(secrets_of(config), None)) is not None:
            print(
                f"`{name}` holds a secret, and configurations are saved, logged and shared. Give it by the environment "
                "alone, as in WANDB_API_KEY=…, or by `wandb login`.",
                file=sys.stderr,
            )
            raise SystemExit(1)


def secrets_of(config: DictConfig) -> Iterator[str]:
    """The options that hold secrets, by their name or because an environment variable named like one has their value."""
    hidden = {value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= _SHORTEST}
    yield from _search(config, "", hidden)


def _search(node: Any, place: str, hidden: set[str]) -> Iterator[str]:
    entries = node.items_ex(resolve=False) if OmegaConf.is_dict(node) else enumerate(node._content or ())
    for key, child in entries:
        name = f"{place}.{key}" if place else str(key)
        if (
            OmegaConf.is_config(child)
            and not child._is_none()
            and not child._is_missing()
            and not child._is_interpolation()
        ):
            yield from _search(child, name, hidden)
            continue
        try:
            value = node[key]
        except (OmegaConfBaseException, LookupError, ValueError):
            continue  # missing, or known only in a job
        if isinstance(value, str) and value and (_SECRET.search(str(key)) or any(one in value for one in hidden)):
            yield name
