"""Commands besides the main one: `unlearnable benchmark …`, `verify …` and others; each has `--help`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.errors import HydraException

from unlearnable.app.job import message_of

Add = Callable[[argparse.ArgumentParser], None]
Do = Callable[[argparse.Namespace], int]


def run_command(arguments: Sequence[str]) -> int:
    """Runs the command that the first argument names; returns the exit code.

    What is wrong with the input is said in a sentence.
    """
    name, *rest = arguments
    add, do = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"unlearnable {name}", description=do.__doc__)
    add(parser)
    options = parser.parse_args(rest)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        return do(options)
    except (OSError, ValueError, ImportError, RuntimeError, HydraException) as error:
        print(message_of(error), file=sys.stderr)
        return 1


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the poisoned training set; docs/import.md has the formats")
    parser.add_argument("--protocol", required=True, help="as in digits-v1; docs/protocols.md")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="how many (3); two or more for a verdict")
    parser.add_argument("--data-dir", help="where the clean data are")
    parser.add_argument("--name", default="", help="the method's name (the folder's)")
    parser.add_argument("--by", default="", help="who measures")
    parser.add_argument("--link", default="", help="where the method is from, an https address")
    parser.add_argument("--out", help="where to write (outputs/benchmarks/NAME-PROTOCOL)")


def _benchmark(options: argparse.Namespace) -> int:
    """Trains on a poison that was made elsewhere, measures it by a protocol, and writes a record that can be compared."""
    from unlearnable.sharing.benchmarking import benchmark
    from unlearnable.sharing.making import in_words

    print(in_words(benchmark(**vars(options))))
    return 0


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", metavar="SWEEP", help="folders of jobs that ran by the protocol")
    parser.add_argument("--protocol", required=True, help="as in digits-v1")
    parser.add_argument("--hardware", required=True, help="what the jobs ran on, as in 'CPU, x86_64'")
    parser.add_argument("--by", required=True, help="who measured")
    parser.add_argument("--link", default="", help="where the methods are from, an https address")
    parser.add_argument("--out", type=Path, default=Path("leaderboard/records"), help="(leaderboard/records)")


def _record(options: argparse.Namespace) -> int:
    """Writes a record for each method of finished sweeps: OUT/PROTOCOL/METHOD.json."""
    from unlearnable.sharing.making import in_words, records_of
    from unlearnable.sharing.schema import write_record

    given = vars(options)
    out = given.pop("out") / options.protocol
    for record in records_of(**given):
        path = out / f"{''.join(c if c.isalnum() else '_' for c in record.method)}.json"
        write_record(path, record)
        print(f"{in_words(record)}\n{path}\n")
    return 0


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", nargs="+", metavar="RECORD", help="a record's file")
    parser.add_argument("--folder", help="runs one seed of the record again, on this poisoned training set")
    parser.add_argument("--seed", type=int, default=0, help="which (0)")
    parser.add_argument("--data-dir", help="where the clean data are")
    parser.add_argument("--out", help="where the job's folder goes (outputs/verified/…)")


def _verify(options: argparse.Namespace) -> int:
    """Checks records: form, digests, that figures follow from the runs, and one of the runs if the data are given."""
    from unlearnable.sharing.schema import read_record
    from unlearnable.sharing.verifying import notes, problems, rerun

    if options.folder is not None and len(options.records) > 1:
        raise ValueError("`--folder` holds the data of one record; give one.")
    failed = False
    for path in options.records:
        record = read_record(path)
        found = problems(record)
        if options.folder is not None and not found:
            found = rerun(record, options.folder, seed=options.seed, data_dir=options.data_dir, out=options.out)
        failed |= bool(found)
        said = found or ["all is as it says", *notes(record)]
        print("\n".join(f"{path}: {one}" for one in said))
    return int(failed)


def _add_leaderboard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("leaderboard/records"), help="(leaderboard/records)"
    )
    parser.add_argument("--out", type=Path, default=Path("leaderboard/index.html"), help="(leaderboard/index.html)")


def _leaderboard(options: argparse.Namespace) -> int:
    """Writes one page from all records below a folder, each of which is verified."""
    from unlearnable.sharing.leaderboard import write_leaderboard

    records = write_leaderboard(options.folder, options.out)
    print(f"{options.out}: {len(records)} records")
    return 0


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", metavar="A", help="a sweep's (or a job's) folder")
    parser.add_argument("second", metavar="B", help="another's")


def _compare(options: argparse.Namespace) -> int:
    """Says what differs between two sweeps: settings, figures, verdicts."""
    from unlearnable.sharing.comparing import compare

    print("\n".join(compare(options.first, options.second)) or "nothing differs")
    return 0


def _add_dashboard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--entity", required=True, help="W&B user or team")
    parser.add_argument("--project", default="unlearnable", help="W&B project (unlearnable)")
    parser.add_argument("--dry-run", action="store_true", help="print the view as JSON; needs no key and no network")


def _dashboard(options: argparse.Namespace) -> int:
    """Writes a saved view of a W&B project: distances over seeds, maps of SAL, the table of methods."""
    import json

    from unlearnable.loggers.wandb_dashboard import dashboard, save, spec_of

    view = dashboard(options.entity, options.project)
    print(json.dumps(spec_of(view), indent=1) if options.dry_run else save(view))
    return 0


#: Name → its arguments, and what it does.
COMMANDS: dict[str, tuple[Add, Do]] = {
    "benchmark": (_add_benchmark, _benchmark),
    "record": (_add_record, _record),
    "verify": (_add_verify, _verify),
    "compare": (_add_compare, _compare),
    "leaderboard": (_add_leaderboard, _leaderboard),
    "dashboard": (_add_dashboard, _dashboard),
}
