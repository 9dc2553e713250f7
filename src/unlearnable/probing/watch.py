"""Watches one run of a model: when weights are used, and what modules leave behind beside their outputs.

Nothing has to be known of the model's code, nor of where it puts things (hooks, attributes, closures, containers of any
class), because what is watched are reads and writes of tensors, operation by operation:

* Every module hands on *aliases* of its outputs. So whoever later reads a tensor that was made within a module's call,
  and not an alias that the call returned, got it past the outputs.
* So does whoever reads a tensor that was changed in place within the call, and was there before.
* A number that is read off a tensor goes on as a Python object, out of sight. It is the same in every run of a batch
  unless weights of the layers went into it; if they did, all that comes later may turn on it.

A call that is seen to do any of this is *leaky*. What remains unseen is what Python objects remember of calls alone, such
as a counter; see :meth:`Replay.prepare <unlearnable.probing.replay.Replay.prepare>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from unlearnable.probing.layers import Layer
from unlearnable.probing.state import generators
from unlearnable.probing.trees import is_plain, mapped, tensors

#: Functions that hand a tensor's content to code outside torch's operations.
_GIVE_AWAY = frozenset(
    {
        Tensor.numpy,
        Tensor.tolist,
        Tensor.data_ptr,
        Tensor.__array__,
        Tensor.__dlpack__,
    }
)
#: Operations whose result, or the shape of it, tells Python code something about the values.
_TELLING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes:
        module: The module.
        parent: Index of the call around it; None for the model's own.
        start: When it began.
        end: When it ended; −1 before.
        after: Index of the first call after all that it contains.
        leaky: Whether it has other effects than its outputs.
        whole: Whether its outputs hold tensors, and all of them can be found: see :func:`is_plain`.
        flops: Floating-point operations within it.
    """

    module: nn.Module
    parent: int | None
    start: int
    end: int = -1
    after: int = -1
    leaky: bool = False
    whole: bool = False
    flops: int = 0


@dataclass(frozen=True)
class Use:
    """When a layer's weights are first used, and how many floating-point operations came before."""

    time: int
    flops: int


class Watch:
    """What happens in one run, in the order of events; use as a context around it.

    All tensors of the run are kept until the watch is dropped, so that no two of them can be taken for each other.

    Args:
        layers: The layers whose weights are looked for.

    Attributes:
        calls: The modules' calls, in the order in which they began.
        first_use: Layer → its first use; layers that were not used are not there.
        swayed: The layers whose weights went into numbers that Python code has read: the run may turn on them.
        flops: Floating-point operations so far.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.calls: list[Call] = []
        self.first_use: dict[Layer, Use] = {}
        self.flops = 0
        self._layers = layers
        self._owner = {_storage(p): index for index, layer in enumerate(layers) for p in layer.parameters}
        self._generators = generators(layers[0].parameters[0].device if layers else torch.device("cpu"))
        self._time = 0
        self._open: int | None = None  # the innermost call that has not ended
        self._swayed = 0  # one bit a layer, here and below
        self._reached: dict[int | None, int] = {}  # storage → layers whose weights went into it
        self._births: dict[int, tuple[Tensor, int, int | None]] = {}  # id → tensor, when, within which call
        self._writes: dict[int | None, list[tuple[int, int | None]]] = {}  # storage → when, within which call

    @property
    def swayed(self) -> set[Layer]:
        """See the class."""
        return {layer for index, layer in enumerate(self._layers) if self._swayed >> index & 1}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches what happens inside."""
        with ExitStack() as stack:
            stack.enter_context(_Functions(self))
            stack.enter_context(_Operations(self))
            yield

    def enter(self, module: nn.Module) -> int:
        """A call begins; its index."""
        self.calls.append(Call(module, self._open, self._tick(), flops=-self.flops))
        self._open = len(self.calls) - 1
        return self._open

    def leave(self, index: int, outputs: Any) -> Any:
        """The call ends; the outputs to hand on, whose tensors are aliases where they can be replaced."""
        call = self.calls[index]
        call.whole = is_plain(outputs) and next(tensors(outputs), None) is not None
        if call.whole:
            outputs = mapped(outputs, _alias)
        call.end, call.after, call.flops = self._tick(), len(self.calls), call.flops + self.flops
        self._open = call.parent
        if call.whole:
            for tensor in tensors(outputs):
                self._births[id(tensor)] = tensor, self._time, self._open
        return outputs

    def written_after(self, tree: Any, time: int) -> bool:
        """Whether memory of a tensor in ``tree`` was written to after ``time``."""
        return any(when > time for tensor in tensors(tree) for when, _ in self._writes.get(_storage(tensor), ()))

    def operation(self, function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Carries out one operation and takes notes."""
        self._tick()
        read = list(tensors([arguments, keywords]))
        reached = self._read(read) | self._swayed
        may_draw = torch.Tag.nondeterministic_seeded in function.tags  # attention has it, without dropout too
        before = self._random_state() if may_draw else torch.empty(0)
        outputs = function(*arguments, **keywords)
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.flops += count(*arguments, **keywords, out_val=outputs)
        made = list(tensors(outputs))
        for tensor in _written(function, arguments, keywords):
            self._write(tensor, reached)
        for tensor in made:
            self._reached[_storage(tensor)] = self._reached.get(_storage(tensor), 0) | reached
            if not any(tensor is known for known in read):
                self._births[id(tensor)] = tensor, self._time, self._open
        if may_draw and not torch.equal(before, self._random_state()):
            self._leak_open()  # to skip it would shift all that is drawn later
        if _tells(function, arguments):
            self._tell(reached)
        return outputs

    def gives_away(self, tensor: Tensor) -> None:
        """The content of ``tensor`` is handed to code outside torch's operations, which may read and write it."""
        self._tick()
        reached = self._read([tensor])
        self._write(tensor, reached)
        self._tell(reached)

    def _random_state(self) -> Tensor:
        return torch.cat([generator.get_state() for generator in self._generators])

    def _tick(self) -> int:
        self._time += 1
        return self._time

    def _read(self, read: Sequence[Tensor]) -> int:
        """Notes who left these tensors behind; returns the layers that went into them."""
        reached = 0
        for tensor in read:
            storage = _storage(tensor)
            owner = self._owner.get(storage)
            if owner is not None:
                self.first_use.setdefault(self._layers[owner], Use(self._time, self.flops))
                reached |= 1 << owner
            reached |= self._reached.get(storage, 0)
            _, born, within = self._births.get(id(tensor), (tensor, -1, None))
            self._leak_ended(within)
            for time, writer in self._writes.get(storage, ()):
                if time > born:
                    self._leak_ended(writer)
        return reached

    def _write(self, tensor: Tensor, reached: int) -> None:
        storage = _storage(tensor)
        self._writes.setdefault(storage, []).append((self._time, self._open))
        self._reached[storage] = self._reached.get(storage, 0) | reached

    def _tell(self, reached: int) -> None:
        if reached:
            self._swayed |= reached
            self._leak_open()

    def _leak_ended(self, index: int | None) -> None:
        """Calls that have ended, from ``index`` outwards, left behind what is read now."""
        while index is not None and self.calls[index].end >= 0:
            self.calls[index].leaky = True
            index = self.calls[index].parent

    def _leak_open(self) -> None:
        """All calls that are open have effects beside their outputs."""
        index = self._open
        while index is not None:
            self.calls[index].leaky = True
            index = self.calls[index].parent


class _Operations(TorchDispatchMode):
    """Shows a watch every operation."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with torch._C.DisableTorchFunction():  # the notes need not show up in `_Functions`
            return self.watch.operation(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Shows a watch which tensors leave torch's operations."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _GIVE_AWAY:
            self.watch.gives_away(args[0])
        return func(*args, **(kwargs or {}))


def _alias(tensor: Tensor) -> Tensor:
    """Another tensor object on the same memory, with the same attributes."""
    alias = tensor.detach()
    alias.__dict__.update(tensor.__dict__)
    return alias


def _tells(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether Python code learns something of the values: a number, or a shape that depends on them."""
    if function is torch.ops.aten.index.Tensor:  # by masks; by numbers the shape is that of the indices
        return any(index.dtype in (torch.bool, torch.uint8) for index in tensors(arguments[1]))
    return not _TELLING.isdisjoint(function.tags)


def _written(function: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Iterator[Tensor]:
    """The arguments that an operation changes in place."""
    if not function._schema.is_mutable:
        return
    for position, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = arguments[position] if position < len(arguments) else keywords.get(argument.name)
            yield from tensors(value)


def _storage(tensor: Tensor) -> int | None:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without one
        return None
