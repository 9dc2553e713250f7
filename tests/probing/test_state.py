"""What a measurement changes around a model, and gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import deterministic

from tests.probing._models import ResNet, batched, images, seeded_model
from unlearnable.measures.sal import measure_sal
from unlearnable.probing.layers import select_layers
from unlearnable.probing.precision import ieee_float32
from unlearnable.probing.state import borrowed, generators

OLD = (
    lambda: torch.backends.cudnn.allow_tf32,
    lambda: torch.backends.cuda.matmul.allow_tf32,
    torch.get_float32_matmul_precision,
)


def new_switches() -> dict[str, str]:
    backends = {"cudnn": torch.backends.cudnn, "cuda": torch.backends.cuda, "mkldnn": torch.backends.mkldnn}
    kinds = {(b, k): getattr(backend, k, None) for b, backend in backends.items() for k in ("conv", "rnn", "matmul")}
    return {f"{b}.{k}": kind.fp32_precision for (b, k), kind in kinds.items() if hasattr(kind, "fp32_precision")}


def every_switch() -> dict[str, Any]:
    return {**{str(place): read() for place, read in enumerate(OLD)}, **new_switches()}


@contextmanager
def settings_kept() -> Iterator[None]:
    before = [read() for read in OLD]
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.backends.cuda.matmul.allow_tf32 = before[1]
        torch.set_float32_matmul_precision(before[2])


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
@pytest.mark.parametrize("tf32", [True, False])
def test_float32_is_ieee_inside_and_what_it_was_afterwards(precision: str, tf32: bool) -> None:
    with settings_kept():
        torch.backends.cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision(precision)
        before = every_switch()
        with ieee_float32():
            assert set(new_switches().values()) <= {"ieee"}
            # The old switches say the same and can be read: PyTorch's products read them.
            assert [read() for read in OLD] == [False, False, "highest"]
        assert every_switch() == before
        with pytest.raises(KeyboardInterrupt), ieee_float32():
            raise KeyboardInterrupt
        assert every_switch() == before


@pytest.mark.skipif(not new_switches(), reason="PyTorch before 2.9 has one switch for all")
def test_switches_that_the_old_ones_cannot_tell_come_back_too() -> None:
    with settings_kept():
        conv = torch.backends.cudnn.conv
        was = conv.fp32_precision
        try:
            torch.backends.cudnn.rnn.fp32_precision = "ieee"
            conv.fp32_precision = "tf32"
            before = new_switches()
            with ieee_float32():
                assert conv.fp32_precision == "ieee"
            assert new_switches() == before
        finally:
            conv.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = was


def test_all_of_a_measurement_is_ieee_and_fills_no_memory() -> None:
    seen = []

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append((*new_switches().values(), deterministic.fill_uninitialized_memory))
        return F.cross_entropy(outputs, targets)

    before = every_switch(), deterministic.fill_uninitialized_memory
    measure_sal(seeded_model(ResNet), loss_fn, [images()], steps=1)
    assert {setting for settings in seen for setting in settings} <= {"ieee", False}
    assert (every_switch(), deterministic.fill_uninitialized_memory) == before


def test_only_the_generators_of_the_models_device_are_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = tuple(torch.Generator().manual_seed(index) for index in range(3))
    monkeypatch.setattr(torch.cuda, "default_generators", gpus)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert generators(torch.device("cpu")) == [torch.default_generator]
    assert generators(torch.device("cuda", 2))[1] is gpus[2]
    assert generators(torch.device("cuda"))[1] is gpus[0]


def test_the_random_state_comes_back_and_no_gpu_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"seeds a GPU for a model on the CPU: {arguments}")

    model, batches = seeded_model(ResNet), [images()]
    for name in ("manual_seed", "manual_seed_all", "set_rng_state", "set_rng_state_all", "init"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    before = torch.get_rng_state()
    with borrowed(model):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    measure_sal(nn.Sequential(model, nn.Dropout()), F.cross_entropy, batches, steps=1)
    assert torch.equal(torch.get_rng_state(), before)


def compiled(part: nn.Module, calls: list[int]) -> Any:
    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., Any]:
        calls.append(1)
        return graph.forward

    return torch.compile(part, backend=backend)


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_compiled_is_measured_as_it_was_written(whole: bool) -> None:
    batches, model, calls = batched(*images(), 24), seeded_model(ResNet).eval(), list[int]()
    plain = measure_sal(model, F.cross_entropy, batches, steps=2)
    if whole:
        model = compiled(model, calls)
    else:
        model.layer1 = compiled(model.layer1, calls)  # type: ignore[arg-type]
    model(batches[0][0])
    assert calls  # it does compile
    del calls[:]
    found = measure_sal(model, F.cross_entropy, batches, steps=2)
    assert not calls
    assert found.names == plain.names
    assert found.values.tolist() == plain.values.tolist()
    assert found.forwards == plain.forwards  # replays skip what they did


def test_layers_go_by_the_names_that_they_have_uncompiled() -> None:
    model = seeded_model(ResNet)
    plain, blocks = select_layers(model), select_layers(model, "blocks")
    model.layer1[0] = compiled(model.layer1[0], [])  # type: ignore[index, operator]
    assert [layer.name for layer in select_layers(model)] == [layer.name for layer in plain]
    assert [layer.name for layer in select_layers(model, "blocks")] == [layer.name for layer in blocks]
    assert [layer.name for layer in select_layers(model, ["layer1.0.*"])] == ["layer1.0.conv1", "layer1.0.conv2"]
    assert [layer.name for layer in select_layers(model, ["layer1.0.bn1.bias"])] == ["layer1.0.bn1.bias"]
