"""Numbers of the configuration, checked for their type where they are read."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

#: A number as the configuration gives it, which may be anything: `whole` and `real` say what it must be.
Number: TypeAlias = Any


def whole(value: Number, option: str, *, low: int | None = None, what: str = "a whole number") -> int:
    """A whole number; `1e2`, which YAML reads as a floating-point number, is the whole number 100.

    Args:
        value: As the configuration has it.
        option: The option's name, for the message.
        low: The least it may be; None for no limit.
        what: What it is, for the message, as in `a side in pixels`.

    Raises:
        ValueError: if it is none, or below `low`.
    """
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, int) or isinstance(number, bool) or (low is not None and number < low):
        least = "" if low is None else f", at least {low}"
        raise ValueError(f"`{option}` must be {what}{least}; got {value!r}.")
    return number


def real(
    value: Number, option: str, *, above: float = -math.inf, below: float = math.inf, what: str = "a number"
) -> float:
    """A finite number that lies in the open interval (`above`, `below`).

    Raises:
        ValueError: if it is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not above < value < below:
        limits = "a finite number" if math.isinf(above) and math.isinf(below) else f"in ({above:g}, {below:g})"
        raise ValueError(f"`{option}` must be {what}, {limits}; got {value!r}.")
    return float(value)
