"""Solvers of SAL's maximisation, one file each; any file in this folder with a :class:`Solver` in it adds one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

from unlearnable.measures.sal.solvers.base import Problem, Solver, pose

__all__ = ["Problem", "Solver", "pose", "solver_named"]


def solver_named(name: str, **options: Any) -> Solver:
    """The solver called ``name``.

    Args:
        name: Its name, such as "fast".
        **options: Arguments of its constructor.

    Raises:
        ValueError: If there is no such solver, or an argument is out of range.
        TypeError: If the solver has no such argument.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    known = {kind.name: kind for kind in _kinds(Solver)}  # type: ignore[type-abstract]
    if name not in known:
        raise ValueError(f"`solver` must be one of {', '.join(sorted(known))}; got {name!r}.")
    allowed = list(inspect.signature(known[name]).parameters)
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise TypeError(f"The solver {name!r} has no argument {', '.join(unknown)}; it has {', '.join(allowed)}.")
    return known[name](**options)


def _kinds(base: type[Solver]) -> Iterator[type[Solver]]:
    for kind in base.__subclasses__():
        if not inspect.isabstract(kind):
            yield kind
        yield from _kinds(kind)
