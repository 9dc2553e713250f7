"""What measuring must keep on a GPU: precision, the model and all random states as they were, few waits, little memory."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _gpu import nets, waits
from _gpu.runner import Bench, Figures, expect
from _setting import batched, rounding
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.models.torchvision_nets import resnet18
from unlearnable.probing.probe import Probe


def _flags() -> dict[str, str]:
    """How convolutions and products round on GPUs; `ieee` is float32 as it is."""
    if hasattr(torch.backends.cudnn, "conv"):
        return {
            "convolutions": torch.backends.cudnn.conv.fp32_precision,
            "products": torch.backends.cuda.matmul.fp32_precision,
        }
    legacy = {"convolutions": torch.backends.cudnn.allow_tf32, "products": torch.backends.cuda.matmul.allow_tf32}
    return {name: "tf32" if allowed else "ieee" for name, allowed in legacy.items()}


def sal_in_float32(bench: Bench, found: Figures) -> None:
    """Inside SAL no autocast, IEEE rounding in the passes that are reported; all restored, also after an exception."""
    net, batches = nets.trained(bench), nets.probe(bench)
    seen: list[dict[str, Any]] = []
    fail_at: int | None = None

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        autocast = torch.is_autocast_enabled(bench.device.type)
        seen.append({"autocast": autocast, "dtype": str(outputs.dtype), **_flags()})
        if fail_at is not None and len(seen) == fail_at:
            raise RuntimeError("stop here")
        return F.cross_entropy(outputs, targets)

    with rounding("tf32"), torch.autocast(bench.device.type, dtype=torch.bfloat16):
        before = _flags()
        nets.measure_sal(net, loss, batches, steps=3)
        after = _flags(), torch.is_autocast_enabled(bench.device.type)
        calls, inside, last = len(seen), {tuple(entry.values()) for entry in seen}, seen[-1]
        seen, fail_at = [], calls // 2
        try:
            nets.measure_sal(net, loss, batches, steps=3)
        except RuntimeError as error:
            expect("stop here" in str(error), f"{error}")
        failed = _flags(), torch.is_autocast_enabled(bench.device.type)
    found |= {"calls": calls, "inside": sorted(map(str, inside)), "last": last, "before": before, "after": after[0]}
    expect(not any(entry[0] for entry in inside), "autocast is on inside SAL")
    expect({entry[1] for entry in inside} == {"torch.float32"}, "outputs inside SAL are not float32")
    expect(after == (before, True), f"flags after SAL are {after}, not {before} and autocast")
    expect(failed == (before, True), f"flags after an exception are {failed}, not {before} and autocast")
    if bench.on_gpu:
        wrong = {name: last[name] for name in before if last[name] != "ieee"}
        expect(not wrong, f"the last pass inside SAL rounds in {wrong}, not ieee")


def sal_equals_double(bench: Bench, found: Figures) -> None:
    """SAL on the device is that of the CPU in double precision within 1e-3, under a job's TF32 flags."""
    for epochs in (1,) if bench.quick else (1, 3):
        net, batches = nets.trained(bench, epochs), nets.probe(bench)
        with rounding("tf32"):
            here = nets.sal_of(bench, net, batches)
        true = nets.sal_in_double(bench, net, batches)
        found[f"epochs {epochs}"] = {
            "deviation": nets.deviation(here, true),
            "SAL": dict(zip(here.names, here.values.round(5).tolist(), strict=True)),
            "SAL in double precision": dict(zip(true.names, true.values.round(5).tolist(), strict=True)),
            "forwards": [here.forwards, true.forwards],
        }
    worst = max(figures["deviation"] for figures in found.values())
    expect(worst <= 1e-3, f"SAL is off by {worst:.2e}, more than 1e-3")


def no_trace(bench: Bench, found: Figures) -> None:
    """Model, buffers, gradients and all random states are the same bits after SAL."""
    net, batches = nets.trained(bench), nets.probe(bench)
    x, y = batches[0]
    F.cross_entropy(net(x.to(bench.device)), y.to(bench.device)).backward()  # some .grad
    net.train()
    before = nets.bits(net)
    grads = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    addresses = {name: tensor.data_ptr() for name, tensor in net.state_dict(keep_vars=True).items()}
    states = _random_states(bench)
    nets.sal_of(bench, net, batches)
    changed = nets.same_bits(before, nets.bits(net))
    found["tensors"] = len(before)
    expect(not changed, f"SAL changed {', '.join(changed[:5])}")
    now = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    expect(grads.keys() == now.keys(), "SAL dropped or made gradients")
    expect(all(torch.equal(grads[name], now[name]) for name in grads), "SAL changed gradients")
    expect(
        addresses == {name: tensor.data_ptr() for name, tensor in net.state_dict(keep_vars=True).items()},
        "SAL moved tensors in memory, which a captured graph would miss",
    )
    expect(all(part.training for part in net.modules()), "SAL left eval mode on")
    for name, state in _random_states(bench).items():
        same = torch.equal(state, states[name]) if isinstance(state, Tensor) else repr(state) == repr(states[name])
        expect(same, f"SAL changed the random state of {name}")


def _random_states(bench: Bench) -> dict[str, Any]:
    states = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}  # noqa: NPY002
    if bench.on_gpu:
        states |= {f"GPU {index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def waits_of_sal(bench: Bench, found: Figures) -> None:
    """At most three waits of the host a pass over the probe."""
    net, batches = nets.trained(bench), nets.probe(bench)  # on the CPU, as a job's probe
    nets.sal_of(bench, net, batches)  # workspaces are made, kernels are chosen
    passes, original = Counter[str](), Probe.passes

    def counting(self: Probe, **options: Any) -> Any:
        passes["passes"] += 1
        return original(self, **options)

    Probe.passes = counting  # type: ignore[method-assign]
    try:
        with waits.counted(bench.device) as places:
            nets.sal_of(bench, net, batches)
    finally:
        Probe.passes = original  # type: ignore[method-assign]
    total, count = sum(places.values()), passes["passes"]
    found |= {"waits": total, "passes": count, "waits a pass": total / count, "where": waits.most(places)}
    if bench.on_gpu:
        expect(total <= 3 * count, f"{total} waits in {count} passes, more than 3 a pass")


def same_samples_explored(bench: Bench, found: Figures) -> None:
    """Batches of 128 and 512 explore the same part of the probe."""
    net = nets.trained(bench)
    images, labels = nets.digits()
    images, labels = images[:512], labels[:512]
    seen: Counter[int] = Counter()

    def loss(outputs: Tensor, targets: dict[str, Tensor]) -> Tensor:
        if len(outputs) > 2:  # before the first pass two samples are tried
            seen.update(targets["row"].tolist())
        return F.cross_entropy(outputs, targets["label"])

    explored, values, forwards = {}, {}, {}
    options = {"steps": 1, "layers": ["conv1", "fc"], "restarts": 0} if bench.quick else {}
    for size in (128, 512):
        seen.clear()
        rows = torch.arange(512).split(size)
        batches = [(images[part], {"label": labels[part], "row": part}) for part in rows]
        sal = nets.measure_sal(net, loss, batches, **options)
        least = min(seen.values())
        explored[size] = sorted(row for row, count in seen.items() if count > least)
        values[size], forwards[size] = sal.values, sal.forwards
    apart = float((np.abs(values[512] - values[128]) / np.maximum(values[128], 1e-2)).max())
    found |= {"explored": {size: len(rows) for size, rows in explored.items()}, "forwards": forwards, "apart": apart}
    expect(explored[128], "with batches of 128 nothing was explored")
    expect(
        explored[128] == explored[512],
        f"batches of 128 explore {len(explored[128])} samples, batches of 512 {len(explored[512])}",
    )


def compiled_net(bench: Bench, found: Figures) -> None:
    """A compiled net, or one with a compiled part, keeps the layers' names and SAL."""
    backend = "inductor" if bench.on_gpu and not bench.quick else "eager"
    net, batches = nets.trained(bench), nets.probe(bench)
    true, state = nets.sal_of(bench, net, batches), nets.bits(net)
    x = batches[0][0].to(bench.device)
    expected = net.train()(x)
    for what in ("whole", "a part"):
        fresh = tiny_resnet(10, width=nets.width(bench)).to(bench.device)
        fresh.load_state_dict(state)
        whole: Any = fresh
        if what == "whole":
            whole = torch.compile(fresh, backend=backend)
        else:
            fresh.layer1 = torch.compile(fresh.layer1, backend=backend)
        close = torch.allclose(whole.train()(x), expected, rtol=1e-2, atol=1e-2)  # as in training: its code is made
        _restore(fresh, state)
        sal = nets.sal_of(bench, whole, batches)
        found[what] = {"names": list(sal.names), "deviation": None, "outputs as before": close}
        expect(sal.names == true.names, f"{what} compiled, the layers are called {', '.join(sal.names)}")
        found[what]["deviation"] = nets.deviation(sal, true)
        expect(found[what]["deviation"] <= 1e-3, f"{what} compiled, SAL is off by {found[what]['deviation']:.2e}")


def _restore(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Loads weights and statistics into a net with compiled parts, whose names have `_orig_mod.` in between."""
    own = {name.replace("_orig_mod.", ""): tensor for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        for name, tensor in state.items():
            own[name].copy_(tensor)


def memory_of_sal(bench: Bench, found: Figures) -> None:
    """ResNet-18 at full width: less than 4 GB above training, and the same epoch after epoch."""
    device = bench.device
    net = resnet18(10).to(device, memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(512, 3, 32, 32, generator=generator), torch.arange(512) % 10
    batches = batched(images.to(device), labels.to(device), 128)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    epochs = []
    for _ in range(2 if bench.quick else 5):
        torch.cuda.reset_peak_memory_stats(device)
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net.train()(x), y).backward()
            optimizer.step()
        optimizer.zero_grad()
        training = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        nets.measure_sal(net, F.cross_entropy, batches, steps=3)  # all of a pass's memory, in less time
        peak, left = torch.cuda.max_memory_allocated(device), torch.cuda.memory_allocated(device)
        epochs.append({"training peak": training, "held": held, "SAL peak": peak, "left": left})
    found["MB by epoch"] = [{name: round(value / 2**20, 1) for name, value in epoch.items()} for epoch in epochs]
    above = max(epoch["SAL peak"] - epoch["held"] for epoch in epochs)
    grown = epochs[-1]["left"] - epochs[1]["left"]
    found |= {"GB above": above / 2**30, "MB grown since the second epoch": grown / 2**20}
    expect(above < 4 * 2**30, f"SAL takes {above / 2**30:.1f} GB above training")
    expect(grown < 2**20, f"{grown / 2**20:.1f} MB more are held after the last epoch than after the second")
