"""What the commands across settings share: `python -m unlearnable.report.sensitivity`, `….transfer`, `….calibration`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from unlearnable.report.build import read
from unlearnable.results.cells import Cell
from unlearnable.results.rows import Rows, columns_of, write_csv


def show_and_write(
    arguments: Sequence[str] | None,
    *,
    file: str,
    description: str | None,
    show: Callable[[Sequence[Cell], Rows], None],
    rows_of: Callable[[Sequence[Cell]], Rows],
    needs: str,
) -> int:
    """Shows a table over the sweeps that were named and writes it as CSV; returns the exit code.

    Args:
        arguments: Of the command line; None takes the process' own.
        file: What is written, in the first folder unless told otherwise.
        description: Of the command.
        show: Prints the table, from the cells or the rows.
        rows_of: The rows as they are written; none is an error.
        needs: What to say where there is nothing to compare.
    """
    parser = argparse.ArgumentParser(prog=f"python -m unlearnable.report.{Path(file).stem}", description=description)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a sweep's folder")
    parser.add_argument("--out", type=Path, help=f"where to write {file}; by default the first folder")
    options = parser.parse_args(arguments)
    try:
        _, cells = read(options.folders)
        rows = rows_of(cells)
        if not rows:
            raise ValueError(needs)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    show(cells, rows)
    folder = options.out or options.folders[0]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / file, columns_of(rows), rows)
    print(folder / file)
    return 0
