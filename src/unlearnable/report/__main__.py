"""`python -m unlearnable.report FOLDER…`: builds tables, figures and page anew, over one or several sweeps."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds the report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m unlearnable.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a sweep's (or a job's) folder")
    parser.add_argument(
        "--out", type=Path, help="where to write; by default the sweep's folder, or ./report for several"
    )
    parser.add_argument("--title", help="the page's heading")
    parser.add_argument("--compact", action="store_true", help="tables, runs.json and PNG figures, for version control")
    options = parser.parse_args(arguments)

    from unlearnable.report.build import build, build_compact, read
    from unlearnable.report.terminal import print_tables

    try:
        records, aggregates = read(options.folders)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    folder = options.out or (options.folders[0] if len(options.folders) == 1 else Path("report"))
    if options.compact:
        written = build_compact(folder, records, aggregates)
        print(f"{folder}: {len(written)} files, {sum(path.stat().st_size for path in written) / 1e3:.0f} kB")
        return 0
    written = build(folder, records, aggregates, title=options.title)
    print_tables(records, aggregates)
    page = written[1]
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB), and {len(written) - 1} tables and figures beside it")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
