"""What counting requests for Prometheus costs the served app.

Three servers of the same bundle: without prometheus-client, with it, and with `PROMETHEUS_MULTIPROC_DIR`. Requests are
sent to them in turn, one after the other, so that changes in the machine's load affect all of them. Reported are the
median time of a request, and the processor time of the server per request, with the ratio to the server without
metrics. A scrape is timed at the end.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.interleaved import working_folder
from benchmarks.serving import made_candidate, resident_megabytes, small_forest

#: Rows of a request -> requests that are sent to each server.
REQUESTS = {1: 2000, 32: 1000, 1000: 100, 10_000: 20}

WITHOUT, WITH, SHARED = "without metrics", "with metrics", "with a shared folder"


def main() -> None:
    import httpx

    from bridge_assets.deployment.core.bundle import bundle_of

    folder = working_folder() / "served_metrics"
    folder.mkdir(exist_ok=True)
    candidate = made_candidate(small_forest(working_folder()), folder / "models")
    bundle = bundle_of(candidate)
    archive = bundle.write(folder / "bundle.tar.gz")
    missing = folder / "missing" / "prometheus_client"
    missing.mkdir(parents=True, exist_ok=True)
    (missing / "__init__.py").write_text("raise ImportError('left out')")
    environs = {
        WITHOUT: {"PYTHONPATH": str(missing.parent)},
        WITH: {},
        SHARED: {"PROMETHEUS_MULTIPROC_DIR": str(folder / "shared")},
    }
    servers = {name: start(archive, environ) for name, environ in environs.items()}
    try:
        rows = [dict(zip(bundle.probe.features, row, strict=True)) for row in bundle.probe.rows]
        with httpx.Client(timeout=120) as client:
            for url, _ in servers.values():
                until_ready(client, url)
            print("| rows | server | ms per request | of the one without | CPU ms | of the one without |")
            print("|---:|---|---:|---:|---:|---:|")
            for size, count in REQUESTS.items():
                body = {"instances": (rows * (size // len(rows) + 1))[:size]}
                show(size, *measured(client, servers, body, count))
            for name, (url, process) in servers.items():
                seconds = [timed(lambda url=url: client.get(f"{url}/metrics")) for _ in range(20)]
                size = len(client.get(f"{url}/metrics").content)
                memory = resident_megabytes(process.pid)
                print(f"\n{name}: {memory:.0f} MB; a scrape {statistics.median(seconds) * 1e3:.1f} ms, {size:,} bytes")
    finally:
        for _, process in servers.values():
            process.send_signal(signal.SIGKILL)
            process.wait()


def start(archive: Path, environ: dict[str, str]) -> tuple[str, subprocess.Popen[bytes]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "BRIDGE_ASSETS_PACKAGE": str(archive),
        "BRIDGE_ASSETS_HOST": "127.0.0.1",
        "BRIDGE_ASSETS_PORT": str(port),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(Path("bridge_assets/serve/container.py").absolute())]
    process = subprocess.Popen(command, env={**inherited, **settings, **environ}, stdout=subprocess.DEVNULL)
    return f"http://127.0.0.1:{port}", process


def until_ready(client: object, url: str) -> None:
    import httpx

    assert isinstance(client, httpx.Client)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            client.get(f"{url}/health").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not start")


def measured(client: object, servers: dict, body: dict, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median milliseconds, and milliseconds of processor time, of a request to each server."""
    import httpx

    assert isinstance(client, httpx.Client)
    seconds: dict[str, list[float]] = {name: [] for name in servers}
    before = {name: processor_seconds(process.pid) for name, (_, process) in servers.items()}
    for _ in range(count):
        for name, (url, _) in servers.items():
            seconds[name].append(timed(lambda url=url: client.post(f"{url}/predict", json=body).raise_for_status()))
    used = {name: processor_seconds(process.pid) - before[name] for name, (_, process) in servers.items()}
    return (
        {name: statistics.median(each) * 1e3 for name, each in seconds.items()},
        {name: each / count * 1e3 for name, each in used.items()},
    )


def timed(call: object) -> float:
    assert callable(call)
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(size: int, milliseconds: dict[str, float], processor: dict[str, float]) -> None:
    for name in milliseconds:
        print(
            f"| {size:,} | {name} | {milliseconds[name]:.2f} | {milliseconds[name] / milliseconds[WITHOUT]:.3f} | "
            f"{processor[name]:.2f} | {processor[name] / processor[WITHOUT]:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
