"""Bad input ends here, before anything is loaded, trained or stored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from unlearnable.identity import plain

if TYPE_CHECKING:
    import torch

    from unlearnable.data.module import DataModule
    from unlearnable.stages import Stages


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


#: What `stage` may be.
STAGES = ("all", "poison", "train", "measure", "report")

#: Option → (test of its value, the rule in words).
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "eps": (
        lambda v: _finite(v) and v > 0,
        "a finite number above 0: SAL's radius, relative to the norm of a layer's weights (the paper's is 0.05)",
    ),
    "steps": (lambda v: _whole(v) and v >= 1, "a whole number of SAL steps, at least 1 (the paper's is 10)"),
    "seed": (lambda v: _whole(v) and 0 <= v < 2**31, "a whole number from 0 to 2³¹ − 1"),
    "trainer.max_epochs": (lambda v: _whole(v) and v >= 1, "a whole number of epochs, at least 1"),
    "target_ud": (lambda v: v is None or _finite(v), "a finite number, or null"),
    **{
        f"model.optimizer.{name}": (lambda v: v is None or (_finite(v) and v >= 0), "a finite number, at least 0")
        for name in ("lr", "momentum", "weight_decay")  # PyTorch lets NaN and true pass
    },
    "stage": (lambda v: v in STAGES, f"one of {', '.join(STAGES)}"),
    "trainer.stop_at_nan": (lambda v: isinstance(v, bool), "true or false"),
    "trainer.compile": (lambda v: v is None or isinstance(v, bool), "true or false"),
    "trainer.keep": (lambda v: v in ("measured", "all"), "'measured' (the epochs that a measure asks for) or 'all'"),
}

#: With weights in float32; the mixed ones compute in 16 bits what bears it.
_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_values(config: DictConfig) -> None:
    """Checks the values that no part's constructor sees.

    Raises:
        ValueError: naming option, rule and value.
        omegaconf.MissingMandatoryValue: if an option that the user must choose is missing.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
    except InterpolationKeyError as error:
        if "dataset." not in str(error):
            raise
        raise ValueError(
            f"poison={config.choices.poison} and dataset={config.choices.dataset} do not go together: the one is for "
            f"another kind of input ({str(error).splitlines()[0]}). docs/poisons.md says which poisons are for images "
            "and which for texts."
        ) from error
    if missing:
        raise ValueError(f"`{missing[0]}` has no default: give it, as in `python run.py … {missing[0]}=VALUE`.")
    for option, (holds, rule) in _RULES.items():
        value = OmegaConf.select(config, option)
        if not holds(value):
            raise ValueError(f"`{option}` must be {rule}; got {value!r}.")


def check_trainer(config: DictConfig) -> torch.device:
    """Builds the Trainer once, so that wrong arguments show early, and returns the device it trains on.

    Raises:
        ValueError: if the accelerator is not there or an argument is wrong.
    """
    import torch
    from hydra.errors import InstantiationException
    from lightning.pytorch.strategies import DDPStrategy
    from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher

    from unlearnable.stages import build_trainer
    from unlearnable.training import quiet

    try:
        with quiet():
            trainer = build_trainer(config, logger=False, enable_checkpointing=False)
    except Exception as error:  # Lightning raises many kinds, as do the libraries that accelerators need
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        given = ", ".join(f"{name}={value}" for name, value in plain(config.trainer).items() if name != "_target_")
        raise ValueError(
            f"The Trainer cannot be made with trainer: {given}. {str(cause).strip() or type(cause).__name__} "
            "Usual are trainer.accelerator=auto (what is there) or cpu, and trainer.devices=1."
        ) from error
    if trainer.precision not in _PRECISIONS:
        raise ValueError(
            f"`trainer.precision` = {config.trainer.precision} trains weights that are not float32, which the images and "
            f"measures are made for. Use one of {', '.join(_PRECISIONS)}."
        )
    if (trainer.check_val_every_n_epoch, trainer.val_check_interval) != (1, 1.0) or not trainer.limit_val_batches:
        raise ValueError(
            "Each epoch is tested once, at its end: leave out trainer.check_val_every_n_epoch, val_check_interval and "
            "limit_val_batches=0. dataset.test_subset makes tests shorter, sal.every_n_epochs measures less often."
        )
    if trainer.num_nodes > 1:
        raise ValueError(
            f"`trainer.num_nodes` = {trainer.num_nodes}, but a job trains on the devices of one machine; a sweep's jobs "
            "may run on many (hydra/launcher=submitit_slurm)."
        )
    if trainer.world_size > 1 and not isinstance(trainer.strategy, DDPStrategy):
        raise ValueError(
            f"`trainer.strategy` = {config.trainer.get('strategy')} on {trainer.world_size} devices: several devices train "
            "by trainer.strategy=ddp, as with trainer=ddp. hydra/launcher=joblib runs the jobs of a sweep side by side."
        )
    if trainer.world_size > 1 and config.task.get("aggregator") is not None:
        raise ValueError(
            f"`task.aggregator` = {config.task.aggregator} combines gradients in one process; use trainer.devices=1."
        )
    if config.trainer.get("compile") and not hasattr(torch.compiler, "set_stance"):
        raise ValueError(
            "`trainer.compile` = true needs PyTorch 2.6 or newer: measures run the network as it was written."
        )
    if config.trainer.get("compile") and config.task.get("aggregator") is not None:
        raise ValueError(
            f"`task.aggregator` = {config.task.aggregator} takes each task's gradient in one pass, which a compiled network "
            "does not allow; use trainer.compile=false."
        )
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise ValueError(
            f"`trainer.strategy` = {config.trainer.strategy} starts another process to train in; a job runs in one. "
            "Leave it out."
        )
    return trainer.strategy.root_device


def device_of(config: DictConfig) -> torch.device:
    """The device that a configuration trains on, which need not be here: for reports of what was made elsewhere."""
    import torch

    kind = {"gpu": "cuda"}.get(config.trainer.accelerator, config.trainer.accelerator)
    return check_trainer(config) if kind == "auto" else torch.device(kind)


def check_model(stages: Stages, data: DataModule) -> None:
    """Checks the model's batches and optimizer, each measure's probe, and one cheap measurement of an untrained model.

    Wrong settings thus end the job before the poison is made.

    Raises:
        ValueError, TypeError, ImportError: if a measure refuses its arguments.
    """
    from unlearnable.callbacks.measuring import measure_module

    try:
        module = stages.make_module(data).to(stages.device)
    except (TypeError, RuntimeError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"The network cannot be built by `model.net` = {plain(stages.config.model.net)}: {type(error).__name__}: {error}"
        ) from error
    data.check(module.net, ranks=stages.ranks)  # type: ignore[arg-type]
    module.configure_optimizers()  # wrong arguments of the optimizer or the schedule show here
    for name, measure in stages.measures.items():
        measure.due(stages.config.trainer.max_epochs, stages.config.trainer.max_epochs)
        there = len(data.test if measure.split == "test" else data.train)
        if measure.samples is not None and measure.samples > there:
            raise ValueError(
                f"`{name}.samples` = {measure.samples}, but the {measure.split} split has {there} samples. "
                f"Use at most {there}, or null for all."
            )
        if not measure.rests(module.loss_functions):  # type: ignore[arg-type]
            state = module.net.state_dict()  # type: ignore[union-attr]
            measure_module(measure.cheap(), module, data, 0, lambda epoch: state, samples=2)  # noqa: ARG005, B023
