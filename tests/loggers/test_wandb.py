"""What W&B's files hold after a job, read back without W&B; and that no failure of a logger ends a run."""

from __future__ import annotations

import io
import json
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.loggers._wandb_reader import payloads, read_runs
from tests.results._sweeps import result, write_sweep
from unlearnable.loggers.base import JobInfo, LoggerWarning, SweepInfo, log_sweep
from unlearnable.loggers.wandb import WandbJobLogger
from unlearnable.report.build import build, read


def _info(folder: Path, **config: Any) -> JobInfo:
    folder.mkdir(exist_ok=True)
    return JobInfo(
        folder, name="em", group="sweep", job_type="poisoned", tags=["poison=em"], config={"eps": 0.05, **config}
    )


def test_a_result_is_a_summary_a_table_pictures_and_artifacts(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "sweep", {**result("em", seed=3), "preview": "preview.png"}) / "0-em"
    made = json.loads((folder / "result.json").read_text())
    (folder / "preview.png").write_bytes(b"picture")
    (poison := tmp_path / "images.u8").write_bytes(b"images")
    logger = WandbJobLogger(_info(folder), mode="offline")
    logger.result(made, folder, poison)
    logger.finish(0)
    (found,) = read_runs(folder)
    for key in ("poison", "dataset", "seed", "eps", "steps", "beta", "ud", "train_acc", "test_acc", "test_acc_peak"):
        assert found.summary[key] == made[key]
    assert found.summary["noise/linf_max"] == pytest.approx(made["noise"]["linf_max"])
    logged = {key: value for row in found.history for key, value in row.items() if isinstance(value, dict)}
    assert {"sal/table", "figures/sal", "figures/learnable_layers"} <= set(logged)
    files = next(folder.glob("wandb/offline-run-*/files"))
    table = json.loads((files / logged["sal/table"]["path"]).read_text())
    assert len(table["data"]) == len(made["sal_epochs"]) * len(made["layers"])
    artifacts = {artifact.type: artifact for artifact in found.artifacts}
    assert {"preview.png", "result.json"} <= {entry.path for entry in artifacts["result"].manifest.contents}
    # Named by the digest of all that the images depend on: jobs that share a poison share the artifact.
    assert artifacts["poison"].name == f"poison-em-{made['keys']['poison'][:12]}"
    assert [entry.ref for entry in artifacts["poison"].manifest.contents if entry.ref] == [poison.as_uri()]


def test_the_preview_of_texts_is_shown_with_its_changes_marked(tmp_path: Path) -> None:
    logger = WandbJobLogger(_info(tmp_path), mode="offline")
    (tmp_path / "preview.txt").write_text("class 0: a [dull→<unk>] film", encoding="utf-8")
    logger.image("preview", tmp_path / "preview.txt")
    logger.finish(0)
    (found,) = read_runs(tmp_path)
    (shown,) = [row["preview"] for row in found.history if "preview" in row]
    file = next(tmp_path.glob("wandb/offline-run-*/files")) / shown["path"]
    assert "class 0: a <mark>[dull→&lt;unk&gt;]</mark> film" in file.read_text(encoding="utf-8")


def test_the_sweep_has_a_run_with_its_tables_and_page(tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "sweep", *[result(poison, seed=s) for poison in ("em", "ops") for s in (0, 1)])
    records, cells = read([sweep])
    node = {"_target_": "unlearnable.loggers.wandb.WandbJobLogger", "mode": "offline", "log_poison": "reference"}
    log_sweep(node, SweepInfo(sweep, records, cells, build(sweep, records, cells)))
    (found,) = read_runs(sweep)
    assert (found.info.run_group, found.info.job_type, found.exit_code) == ("sweep", "summary", 0)
    logged = {key for row in found.history for key in row}
    assert {"jobs", "methods", "report", "figures/ud"} <= logged
    (report,) = [artifact for artifact in found.artifacts if artifact.type == "report"]
    assert {"summary.csv", "report.html", "figures/ud.pdf"} <= {entry.path for entry in report.manifest.contents}


def test_a_continued_job_continues_its_run_and_logs_no_epoch_twice(tmp_path: Path) -> None:
    import wandb

    first = WandbJobLogger(_info(tmp_path), mode="offline")
    for epoch in (0, 1):
        first.loggers[0].log_metrics({"epoch": epoch, "ud/value": 0.5})
    wandb.teardown()  # stopped in the middle, without a finish
    second = WandbJobLogger(_info(tmp_path), mode="offline")
    for epoch in (0, 1, 2):  # the finished epochs are shown again, then the run goes on
        second.loggers[0].log_metrics({"epoch": epoch, "ud/value": 0.5})
    second.finish(0)
    runs = read_runs(tmp_path)
    assert len({found.id for found in runs}) == 1
    assert [epoch for found in runs for epoch in found.series("ud/value")] == [0, 1, 2]
    third = WandbJobLogger(_info(tmp_path), mode="offline")  # it had ended: a new run
    third.finish(0)
    assert len({found.id for found in read_runs(tmp_path)}) == 2


def test_another_job_in_the_same_folder_is_another_run(tmp_path: Path) -> None:
    import wandb

    for eps in (0.01, 0.05):
        WandbJobLogger(_info(tmp_path, eps=eps), mode="offline")
        wandb.teardown()
    assert len({found.id for found in read_runs(tmp_path)}) == 2


def test_a_dead_server_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing answers there
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.warns(LoggerWarning, match="off for the rest of this job"):
        logger = WandbJobLogger(_info(tmp_path), mode="online", init_timeout=3)
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5})
    logger.image("preview", tmp_path / "absent.png")
    logger.finish(0)


def test_auto_is_offline_without_a_key_or_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    WandbJobLogger(_info(tmp_path), mode="auto").finish(0)
    monkeypatch.setattr("unlearnable.loggers.wandb._unreachable", set())
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing answers there
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    wandb.teardown()  # W&B reads the environment once a session
    start = time.monotonic()
    WandbJobLogger(_info(tmp_path), mode="auto", init_timeout=2).finish(0)
    WandbJobLogger(_info(tmp_path), mode="auto", init_timeout=60).finish(0)  # does not wait for that server again
    assert time.monotonic() - start < 30
    assert len(read_runs(tmp_path)) == 3


class _Server(ThreadingHTTPServer):
    """Answers whatever is asked with an error, and counts."""

    requests = 0


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.requests += 1  # type: ignore[attr-defined]
        self.send_error(401)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    """A server that answers, and a key for it."""
    import wandb

    found = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{found.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    wandb.teardown()
    yield found
    found.shutdown()


@pytest.mark.parametrize(
    ("variable", "value", "runs"),
    [
        ("WANDB_MODE", "offline", 1),
        ("WANDB_MODE", "disabled", 0),
        ("WANDB_DISABLED", "true", 0),
    ],
)
def test_nothing_is_sent_where_the_environment_says_so(
    tmp_path: Path, server: _Server, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, runs: int
) -> None:
    monkeypatch.setenv(variable, value)
    logger = WandbJobLogger(_info(tmp_path))
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5})
    logger.finish(0)
    assert len(read_runs(tmp_path)) == runs
    assert server.requests == 0


def test_a_server_that_refuses_leaves_the_job_an_offline_run(tmp_path: Path, server: _Server) -> None:
    WandbJobLogger(_info(tmp_path), init_timeout=3).finish(0)
    assert server.requests > 0
    assert len(read_runs(tmp_path)) == 1


def test_every_job_has_an_id_of_its_own_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "shared")
    for job in ("0-em", "1-ops"):
        WandbJobLogger(_info(tmp_path / job), mode="offline").finish(0)
    ids = [found.id for job in ("0-em", "1-ops") for found in read_runs(tmp_path / job)]
    assert len(set(ids)) == 2
    assert "shared" not in ids


def test_no_key_is_asked_for_where_there_is_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, *_: Any) -> str:
            raise AssertionError("a key was asked for")

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr", Terminal())
    WandbJobLogger(_info(tmp_path)).finish(0)
    assert len(read_runs(tmp_path)) == 1


def test_what_cannot_be_logged_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    logger = WandbJobLogger(_info(tmp_path), mode="offline")
    with pytest.warns(LoggerWarning, match=r"could not log absent\.png"):
        logger.image("preview", tmp_path / "absent.png")
    logger.loggers[0].log_metrics({"epoch": 0, "ud/value": 0.5})
    logger.finish(0)
    (found,) = read_runs(tmp_path)
    assert found.series("ud/value") == {0: 0.5}
    assert found.exit_code == 0


@pytest.mark.parametrize(("option", "value"), [("mode", "sometimes"), ("log_poison", "never")])
def test_unknown_options_are_refused(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"`logger\.{option}` must be .* got '{value}'"):
        WandbJobLogger(_info(tmp_path), **{option: value})


def test_the_reader_joins_fragments_across_blocks() -> None:
    def fragment(kind: int, data: bytes) -> bytes:
        return struct.pack("<IHB", 0, len(data), kind) + data

    header = b":W&B" + b"\x00\x00\x00"
    first = 32768 - 7 - 7 - 3  # leaves 3 bytes of padding in the first block
    log = header + fragment(1, b"a" * first) + b"\x00" * 3 + fragment(2, b"b" * (32768 - 7)) + fragment(4, b"c")
    assert [len(payload) for payload in payloads(log)] == [first, 32768 - 7 + 1]
    with pytest.raises(ValueError, match="no W&B file"):
        list(payloads(b"something else"))
