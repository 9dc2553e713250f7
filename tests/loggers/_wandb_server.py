"""A stand-in for W&B's server: it takes runs and what is logged of them, refuses them, or accepts and never answers."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """What was sent to it, and how it answers.

    Attributes:
        mood: `answers`, `refuses` (as it does a wrong key) or `hangs`: connections are taken and nothing is ever said.
        runs: Ids of the runs that were made.
        history: Run → the rows that were logged.
        uploaded: Names of files.
        requests: How many there were.
    """

    daemon_threads = True

    def __init__(self, mood: str = "answers") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mood, self.requests = mood, 0
        self.runs: list[str] = []
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.uploaded: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        pass  # a client that went away


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        self.server.requests += 1
        while self.server.mood == "hangs":
            time.sleep(0.1)
        if self.server.mood == "refuses":
            self.send_error(401)
            return
        answer: dict[str, Any] = {}
        if self.path == "/graphql":
            answer = {"data": self._graphql(**json.loads(content))}
        elif self.path.endswith("/file_stream"):
            self._file_stream(self.path.split("/")[-2], json.loads(content))
        elif self.command == "PUT":
            self.server.uploaded.append(self.path)
        said = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PUT = do_POST  # noqa: N815

    def _graphql(self, query: str, variables: dict[str, Any] | None = None, **_: Any) -> dict[str, Any]:
        """The least that W&B's client needs to know."""
        named, given = re.search(r"(?:query|mutation)\s+(\w+)", query), variables or {}
        match named and named[1]:
            case "UpsertBucket":
                if given["name"] not in self.server.runs:
                    self.server.runs.append(given["name"])
                project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "someone"}}
                bucket = {"id": "b", "name": given["name"], "displayName": "run", "config": "{}", "project": project}
                return {"upsertBucket": {"inserted": True, "bucket": {**bucket, "historyLineCount": 0}}}
            case "CreateArtifact":  # one that is there already, so that nothing of it is sent
                there = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": None}}
                return {"createArtifact": {"artifact": there}}
            case "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{self.server.address}/{name}"} for name in given["files"]]
                return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
            case "ServerFeaturesQuery":
                return {"serverInfo": {"features": []}}
        return {}

    def _file_stream(self, run: str, sent: dict[str, Any]) -> None:
        lines = sent.get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
        self.server.history.setdefault(run, []).extend(json.loads(line) for line in lines)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(mood: str = "answers") -> Iterator[Server]:
    """A server for the length of a block."""
    server = Server(mood)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.mood = "refuses"  # lets go of those that wait
        server.shutdown()
        server.server_close()
