"""Jobs on a GPU: the check before work, waits of training and of poisons' steps, resuming, mixed precision."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from _gpu import nets, waits
from _gpu.runner import Bench, Figures, expect
from unlearnable import training
from unlearnable.callbacks import Measuring
from unlearnable.callbacks.divergence import Divergence
from unlearnable.callbacks.trajectory import read_epochs, read_weights
from unlearnable.measures.sal.measure import SharpnessAwareLearnability
from unlearnable.measures.sal.solvers.fast import Fast
from unlearnable.models.tiny_resnet import tiny_resnet

_ROOT = Path(__file__).resolve().parents[2]


def check_before_work(bench: Bench, found: Figures) -> None:
    """The last check before work takes its SAL step on the device that training will use."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from unlearnable import callbacks, checks, experiment
    from unlearnable.stages import Stages
    from unlearnable.store import Store

    with initialize_config_dir(str(_ROOT / "conf"), version_base="1.3"):
        accelerator = "gpu" if bench.on_gpu else "cpu"
        own = ["experiment=smoke", "logger=none", f"trainer.accelerator={accelerator}", f"store.dir={bench.folder}"]
        config = compose("config", overrides=own, return_hydra_config=True)
    OmegaConf.set_struct(config, False)
    config.store.dir, config.choices = str(bench.folder), dict.fromkeys(config.choices, "-")
    del config.hydra
    device = checks.check_trainer(config)
    expect(device.type == bench.device.type, f"the Trainer trains on {device}")
    places: Counter[str] = Counter()
    original = callbacks.measuring.measure_module

    def watched(measure: Any, module: Any, *rest: Any, **options: Any) -> Any:
        places.update(f"{parameter.device.type}" for parameter in module.net.parameters())
        return original(measure, module, *rest, **options)

    callbacks.measuring.measure_module = watched
    try:
        checks.check_model(Stages(config, Store(bench.folder / "store"), device), experiment.load_data(config))
    finally:
        callbacks.measuring.measure_module = original
    found["parameters"] = dict(places)
    expect(set(places) == {bench.device.type}, f"the check's parameters lie on {', '.join(places) or 'nothing'}")


class _WaitsByEpoch(Callback):
    """Counts waits from each epoch's second batch to its last."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.places: Counter[str] = Counter()
        self.steps = 0

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        # From the end of one batch to the end of the next: fetching, moving, augmenting and learning from one batch.
        if trainer.current_epoch == 0:
            return
        index = rest[-1]
        if index == 0:
            self.context = waits.counted(self.device)
            self.found = self.context.__enter__()
        else:
            self.steps += 1
        if index + 1 == trainer.num_training_batches:
            self.context.__exit__(None, None, None)
            self.places.update(self.found)


def waits_of_training(bench: Bench, found: Figures) -> None:
    """No wait a training step: in float32 and in bf16-mixed, for one task and for several."""
    several = nets.SeveralTasks(batch_size=32, flip=True)
    for name, module, data, precision in (
        ("one task", nets.module(bench), nets.data(bench), "32-true"),
        ("one task, bf16-mixed", nets.module(bench), nets.data(bench), "bf16-mixed"),
        ("several tasks", nets.module_of_several(several), several, "32-true"),
    ):
        watch = _WaitsByEpoch(bench.device)
        trainer = nets.trainer(
            bench, max_epochs=2, precision=precision, callbacks=[watch, Divergence(name)], limit_val_batches=0
        )
        trainer.fit(module, datamodule=data)
        expect(watch.steps > 1, "no step was watched")
        found[name] = {
            "steps": watch.steps,
            "waits": sum(watch.places.values()),
            "where": waits.most(watch.places),
        }
    waiting = {name: figures["where"] for name, figures in found.items() if figures["waits"]}
    expect(not waiting, f"training steps wait: {waiting}")


def _fit(bench: Bench, folder: Path, epochs: int, **options: Any) -> None:
    trainer = {"max_epochs": epochs, **options.pop("trainer", {})}

    def make(**more: Any) -> Trainer:
        return nets.trainer(bench, **{**trainer, "enable_checkpointing": True, "default_root_dir": folder, **more})

    folder.mkdir(exist_ok=True)
    training.fit(
        nets.module(bench),
        nets.data(bench),
        make_trainer=make,
        folder=folder,
        seed=0,
        loggers=[],
        **{"callbacks": [], **options},
    )


class _Interrupt(Callback):
    """Ends the training in the middle of its second epoch, as a kill does."""

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        if trainer.current_epoch == 1 and rest[-1] == 1:
            raise RuntimeError("stop here")


def training_resumes(bench: Bench, found: Figures) -> None:
    """An interrupted training ends with the bits of an undisturbed one."""
    epochs = 2 if bench.quick else 3
    whole, resumed = bench.folder / "whole", bench.folder / "resumed"
    _fit(bench, whole, epochs)
    try:
        _fit(bench, resumed, epochs, callbacks=[_Interrupt()])
    except RuntimeError as error:
        expect("stop here" in str(error), f"{error}")
    found["epochs when interrupted"] = len(read_epochs(resumed))
    expect(found["epochs when interrupted"] == 1, "the interrupt came at another time")
    _fit(bench, resumed, epochs)
    differ = nets.same_bits(read_weights(whole, epochs), read_weights(resumed, epochs))
    found |= {"tensors": len(read_weights(whole, epochs)), "differ": differ[:5]}
    expect(not differ, f"the resumed training's weights differ: {', '.join(differ[:5])}")
    metrics = [[dict(epoch.metrics) for epoch in read_epochs(folder)] for folder in (whole, resumed)]
    found["metrics"] = metrics[0][-1]
    expect(metrics[0] == metrics[1], f"the resumed training's metrics differ: {metrics}")


def sal_after_mixed_training(bench: Bench, found: Figures) -> None:
    """SAL measured within a bf16-mixed training is that of its weights in double precision within 1e-3."""
    samples = 32 if bench.quick else 512
    solver = Fast(restarts=0) if bench.quick else Fast()
    steps = nets.QUICK_SAL["steps"] if bench.quick else 10
    folder, epochs = bench.folder / "mixed", 1 if bench.quick else 6
    probe: dict[str, Any] = {"samples": samples, "batch_size": 128, "every_n_epochs": epochs}
    measuring = Measuring(SharpnessAwareLearnability(solver=solver, steps=steps, **probe))
    _fit(bench, folder, epochs, trainer={"precision": "bf16-mixed"}, callbacks=[measuring])
    here = measuring.history.epochs[epochs]["class"]
    module, data = nets.module(bench), nets.data(bench)
    data.setup()
    module.net.load_state_dict(read_weights(folder, epochs))
    true = nets.sal_in_double(bench, module.net, list(data.probe(samples, batch_size=128)))
    apart = nets.deviation(here, true)  # type: ignore[arg-type]
    found |= {"deviation": apart, "SAL": dict(zip(here.names, here.values.tolist(), strict=True))}
    found["metrics"] = dict(read_epochs(folder)[-1].metrics)
    expect(apart <= 1e-3, f"SAL after bf16-mixed training is off by {apart:.2e}, more than 1e-3")


def environment(bench: Bench, found: Figures) -> None:
    """What it runs on."""
    import lightning
    import torchmetrics

    found |= {"python": sys.version.split()[0], "torch": torch.__version__, "lightning": lightning.__version__}
    found |= {"torchmetrics": torchmetrics.__version__, "threads": torch.get_num_threads()}
    if bench.on_gpu:
        found |= {"device": torch.cuda.get_device_name(bench.device), "cuda": torch.version.cuda}
        found["cudnn"] = torch.backends.cudnn.version()
    # Convolutions and products run at all.
    x = torch.rand(4, 3, 16, 16, device=bench.device)
    expect(bool(torch.isfinite(tiny_resnet(10, width=4).to(bench.device)(x)).all()), "outputs are not finite")
