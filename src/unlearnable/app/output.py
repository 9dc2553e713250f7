"""The output folder, checked before Hydra tries to write to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from typing_extensions import override

#: Environment variable with the `_target_` of the launcher that starts a sweep's jobs.
LAUNCHER = "UNLEARNABLE_LAUNCHER"


class OutputFolder(Callback):
    """Ends the command with a sentence, instead of Hydra's traceback, if its folder cannot be written to."""

    @override
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        HydraConfig.instance().set_config(config)  # Hydra sets it a moment later; the folder's name may refer to it
        self._check("hydra.run.dir", config.hydra.run.dir)

    @override
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        os.environ[LAUNCHER] = config.hydra.launcher._target_
        self._check("hydra.sweep.dir", config.hydra.sweep.dir)

    def _check(self, option: str, value: str) -> None:
        folder = Path(value).absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            print(
                f"`{option}` = {folder} cannot be written to: {error.strerror}. Choose another folder, as in `{option}=…`.",
                file=sys.stderr,
            )
            # Hydra turns a callback's exceptions into warnings; this one is meant to get through.
            raise SystemExit(1) from None
