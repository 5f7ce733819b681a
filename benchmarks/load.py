"""A closed loop of clients that send the same request as fast as it is answered: wrk, or Python where it is missing.

wrk (`apt-get install wrk`) takes a fraction of a processor. The clients in Python take more of the machine than some of
the servers do: their figures are lower for a fast server, and not comparable with wrk's.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

_SCRIPT = """
local file = io.open("%s", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests": %%d, "us": %%d, "p50": %%d, "p99": %%d, "errors": %%d}\\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What a server did under load: answers per second, latency in milliseconds, and requests without a 2xx answer."""

    per_second: float
    p50: float
    p99: float
    errors: int


def generator() -> str:
    """Which load generator this machine has."""
    return "wrk" if shutil.which("wrk") else "Python threads (wrk is not installed)"


def load(url: str, body: bytes, concurrency: int, seconds: float) -> Load:
    """Send a body as JSON from this many connections for some seconds."""
    if shutil.which("wrk") is None:
        return _load_in_python(url, body, concurrency, seconds)
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "body.json").write_bytes(body)
        script = Path(name) / "post.lua"
        script.write_text(_SCRIPT % (Path(name) / "body.json"))
        options = ["-t1", f"-c{concurrency}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script)]
        ran = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    per_second = (found["requests"] - found["errors"]) / found["us"] * 1e6
    return Load(per_second, found["p50"] / 1e3, found["p99"] / 1e3, found["errors"])


def _load_in_python(url: str, body: bytes, concurrency: int, seconds: float) -> Load:
    host, _, path = url.removeprefix("http://").partition("/")
    durations: list[float] = []
    errors: list[int] = []
    until = time.perf_counter() + seconds

    def send() -> None:
        connection = HTTPConnection(host, timeout=30)
        while (began := time.perf_counter()) < until:
            try:
                connection.request("POST", f"/{path}", body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                reply.read()
                failed = reply.status >= 300
            except (OSError, HTTPException):
                failed = True
                connection.close()
            if failed:
                errors.append(1)
            else:
                durations.append(1e3 * (time.perf_counter() - began))

    clients = [threading.Thread(target=send) for _ in range(concurrency)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    cuts = statistics.quantiles(durations, n=100) if len(durations) > 1 else [float("nan")] * 99
    return Load(len(durations) / seconds, cuts[49], cuts[98], len(errors))
