"""The dashboard on a national home: 620,000 structures over 20 survey years, in a real browser.

The tables of a finished run of the sample (`BRIDGE_ASSETS_BENCHMARK_HOME`, default: `var`) are repeated until they have
that many structures, each row under other keys, with other names and places, in the order of the keys and in row groups
of the size that the platform writes. The pages are opened in Chromium three times each: by their address, which also
loads Streamlit (time until the page's own heading is drawn), and by a link from within (time until the script has
ended). Memory is the largest resident set of the server.

Limits: 2 seconds, 1.5 GB.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.interleaved import working_folder

STRUCTURES = 620_000

#: Limits: seconds of a page, and GB of the server.
MAX_SECONDS, MAX_GB = 2.0, 1.5

#: Tables with a row, or several, for each structure.
REPEATED = ("mart_bridge_outlook", "dim_structures", "int_inspections", "fct_component_rises")
REPEATED_YEARLY = ("raw_bridges", "bridge_predictions", "years_until_poor", "bridge_features")

#: Text and numbers that differ from bridge to bridge; repeated as they are, they would take no space.
TEXTS = (
    *("facility_carried", "features_intersected", "location"),
    *("FACILITY_CARRIED_007", "FEATURES_DESC_006A", "LOCATION_009", "STRUCTURE_NUMBER_008"),
)
NUMBERS = {
    **dict.fromkeys(("latitude", "longitude"), 1.0),
    **dict.fromkeys(("fall_probability", "precipitation", "mean_temperature", "peers_fall_rate"), 0.01),
}

#: Rows of a row group: of polars, which writes the yearly tables, and of DuckDB, which writes the others.
POLARS_GROUP, DUCKDB_GROUP = 262_144, 122_880

ROUNDS = 3

CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)

#: Page -> its address; `{key}` is a bridge in the middle of the tables.
ADDRESSES = {
    "overview": "/",
    "map": "/map",
    "inspection list": "/bridges",
    "search": "/bridges?q=mill+creek&sort=probability&class=Poor",
    "one bridge": "/bridge?state={state}&structure={structure}",
    "model": "/model",
    "drift": "/drift",
    "pipeline": "/pipeline",
    "endpoints": "/endpoints",
    "data quality": "/quality",
}


def national_home(sample: Path, home: Path) -> None:
    """Write the national home, unless it is there."""
    import duckdb

    done = home / "complete"
    if done.exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(sample, home, symlinks=True, ignore=shutil.ignore_patterns(*REPEATED_YEARLY, "warehouse.duckdb"))
    connection = duckdb.connect(config={"memory_limit": "2GB", "threads": 2, "temp_directory": str(home / "temporary")})
    counted = f"select count(distinct structure_key) from '{sample}/lake/mart_bridge_outlook.parquet'"
    times = -(-STRUCTURES // connection.execute(counted).fetchall()[0][0])

    def repeat(source: Path, target: Path, group: int) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        names = {row[0] for row in connection.execute(f"describe select * from '{source}'").fetchall()}
        key = "left(structure_key, 3) || lpad(repeated::varchar, 3, '0') || substr(structure_key, 4)"
        changed = [
            f"{key} as structure_key",
            *(f"{name} || ' ' || repeated as {name}" for name in TEXTS if name in names),
        ]
        changed += [f"{name} + (random() - 0.5) * {by} as {name}" for name, by in NUMBERS.items() if name in names]
        connection.execute(
            f"copy (select * exclude (repeated) replace ({', '.join(changed)}) "
            f"from '{source}', range({times}) as numbers(repeated) order by structure_key) to '{target}' "
            f"(format parquet, compression zstd, row_group_size {group})"
        )

    for name in REPEATED:
        repeat(sample / "lake" / f"{name}.parquet", home / "lake" / f"{name}.parquet", DUCKDB_GROUP)
    for name in REPEATED_YEARLY:
        for path in sorted((sample / "lake" / name).glob("*.parquet")):
            repeat(path, home / "lake" / name / path.name, POLARS_GROUP)
    done.touch()


def main() -> None:
    """Write the home, measure, print a table."""
    import duckdb
    from playwright.sync_api import sync_playwright

    sample = Path(os.environ.get("BRIDGE_ASSETS_BENCHMARK_HOME", "var")).absolute()
    if not (sample / "lake" / "mart_bridge_outlook.parquet").is_file():
        print(f"{sample} has no finished run: `bridge-assets run`, or name one in BRIDGE_ASSETS_BENCHMARK_HOME")
        return
    home = working_folder() / "dashboard"
    national_home(sample, home)
    outlook = home / "lake" / "mart_bridge_outlook.parquet"
    rows = duckdb.connect().execute(f"select structure_key from '{outlook}'").fetchall()
    state, _, structure = rows[len(rows) // 2][0].partition("-")
    print(f"{len(rows):,} bridges, {sum(p.stat().st_size for p in home.rglob('*.parquet')) / 1e9:.1f} GB of Parquet\n")
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS.split())
        server, address, started = _start(home)
        try:
            print(f"start: {started:.1f} s\n")
            print("| page | by address, first / median (s) | by a link (s) | server's processor (s) | memory (MB) |")
            print("|---|---:|---:|---:|---:|")
            for name, path in ADDRESSES.items():
                path = path.format(state=state, structure=structure)
                opened = [_open(browser, address + path) for _ in range(ROUNDS)]
                linked, processor = _follow(browser, address, path, server.pid)
                print(
                    f"| {name} | {opened[0]:.2f} / {statistics.median(opened):.2f} "
                    f"| {linked[0]:.2f} / {statistics.median(linked):.2f} | {processor:.2f} "
                    f"| {_memory_mb(server.pid):,.0f} |",
                    flush=True,
                )
            peak = _memory_mb(server.pid, "VmHWM")
            print(f"\nlargest resident set: {peak:,.0f} MB (limit {MAX_GB * 1000:,.0f})")
        finally:
            server.terminate()
            server.wait(30)
            browser.close()


def _start(home: Path) -> tuple[subprocess.Popen[str], str, float]:
    environment = {**os.environ, "BRIDGE_ASSETS_DATA__HOME": str(home), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "from bridge_assets.cli import main; main()", "dashboard", "--port", "0"]
    began = time.perf_counter()
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found, "the server did not start"
    while time.perf_counter() - began < 60:
        try:
            urllib.request.urlopen(f"{found[0]}/_stcore/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.02)
    return server, found[0], time.perf_counter() - began


def _open(browser, address: str) -> float:
    """Seconds until the heading of a page is drawn in a new tab, with what the browser has in its cache."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(".bridge-assets h1").wait_for(timeout=60_000)
    seconds = time.perf_counter() - began
    page.close()
    return seconds


def _follow(browser, address: str, path: str, server: int) -> tuple[list[float], float]:
    """Seconds from a click on a link until the page is complete, and the server's processor seconds of the first."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address + "/endpoints")
    page.locator(".bridge-assets h1").wait_for(timeout=60_000)
    found, processor = [], 0.0
    for _ in range(ROUNDS):
        page.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")
        before = page.evaluate(
            """path => { const root = document.querySelector('.bridge-assets');
            const link = document.createElement('a'); link.href = path; link.dataset.page = ''; link.id = 'measured';
            link.textContent = 'measured'; root.prepend(link); return document.querySelector('h1').textContent }""",
            path,
        )
        began, spent = time.perf_counter(), _processor_seconds(server)
        page.evaluate("document.getElementById('measured').click()")
        if before != "Endpoints" or not path.startswith("/endpoints"):
            page.wait_for_function(
                "before => document.querySelector('.bridge-assets h1') "
                "&& document.querySelector('.bridge-assets h1').textContent !== before",
                arg=before,
                timeout=60_000,
            )
        page.wait_for_function("document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")
        found.append(time.perf_counter() - began)
        processor = processor or _processor_seconds(server) - spent
        page.goto(address + "/endpoints")
        page.locator(".bridge-assets h1").wait_for(timeout=60_000)
    page.close()
    return found, processor


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(process: int, field: str = "VmRSS") -> float:
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s+(\d+)", text)[1]) / 1000  # pyright: ignore[reportOptionalSubscript]


if __name__ == "__main__":
    main()
