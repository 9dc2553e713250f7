"""Checks of options where they are read; each returns the value in its proper type.

Values come from configurations and command lines, where `8/255` is text, `1e2` a float and `true` nearly a number.
"""

from __future__ import annotations

import math
from numbers import Real
from pathlib import Path

Number = float | str
"""A number, or a fraction as text: `8/255`."""


def number(
    name: str,
    value: object,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    what: str = "a number",
) -> float:
    """Returns a finite number within the bounds.

    Args:
        name: The argument's name, for the message.
        value: A number, or text that holds one or a fraction of two, such as `8/255`.
        above: It must be larger than this.
        at_least: It must not be smaller than this.
        below: It must be smaller than this.
        at_most: It must not be larger than this.
        what: The kind of number, for the message, as in `a share`.

    Raises:
        ValueError: if it is anything else.
    """
    found = _parse(value)
    if found is None:
        raise ValueError(f"`{name}` must be {what}, finite, or a fraction such as 8/255; got {value!r}.")
    bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
    kept = (
        (above is None or found > above)
        and (at_least is None or found >= at_least)
        and (below is None or found < below)
        and (at_most is None or found <= at_most)
    )
    if not kept:
        rule = " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
        raise ValueError(f"`{name}` must be {what}, {rule}; got {value}.")
    return found


def whole(name: str, value: object, *, at_least: int = 1, what: str = "a whole number") -> int:
    """Returns a whole number; `1e2`, a float in YAML, is one.

    Args:
        name: The option's name, for the message.
        value: What it was given.
        at_least: The least it may be.
        what: What it is, for the message, as in `a side in pixels`.

    Raises:
        ValueError: if it is anything else, or below `at_least`.
    """
    found = None if isinstance(value, str) else _parse(value)
    if found is None or not found.is_integer() or found < at_least:
        raise ValueError(f"`{name}` must be {what}, at least {at_least}; got {value!r}.")
    return int(found)


def switch(name: str, value: object) -> bool:
    """Returns true or false.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be true or false; got {value!r}.")
    return value


def existing_file(name: str, value: str | Path, *, what: str) -> Path:
    """Returns the path of a file that is there; `~` stands for the home folder.

    Raises:
        ValueError: if it is no path.
        FileNotFoundError: if there is none; the message names the argument and `what` it is to hold.
    """
    if not isinstance(value, str | Path):
        raise ValueError(f"`{name}` must name a file with {what}; got {value!r}.")
    path = Path(value).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"`{name}` must name a file with {what}; {path} is not there.")
    return path


def _parse(value: object) -> float | None:
    """The finite number that a value stands for; None if it stands for none."""
    try:
        if isinstance(value, str):
            numerator, *denominator = [float(part) for part in value.split("/", maxsplit=1)]
            found = numerator / denominator[0] if denominator else numerator
        elif isinstance(value, Real) and not isinstance(value, bool):
            found = float(value)
        else:
            return None
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return found if math.isfinite(found) else None
