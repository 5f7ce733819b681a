"""Who may call the server: the token, the limit of requests per second, and where it listens without either."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import httpx
import pytest
from serve.test_container import start_error
from serve.test_follow import COMMAND
from support.deployment.answers import error_of
from support.deployment.server_process import ServerProcess, serving

from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import DeploymentError
from bridge_assets.serve.border.access import (
    DEFAULT_REQUESTS_PER_SECOND,
    REQUESTS_PER_SECOND,
    TOKEN,
    WITHOUT_TOKEN,
    AccessRules,
    RequestRate,
)

SECRET = "0123456789abcdef" * 2
PROBE = {"instances": [{"age": 1}]}
HEALTH_PATHS = ("/health", "/ping", "/v2/health/live", "/v2/health/ready", "/v2/models/bridge-fall/ready")


@pytest.fixture(scope="module")
def guarded(bundle):
    """A client of a server that needs the token."""
    with serving(bundle, BRIDGE_ASSETS_TOKEN=SECRET) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


# The token


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_request_with_the_token_is_answered(guarded, scheme):
    reply = guarded.post("/predict", json=PROBE, headers={"Authorization": f"{scheme} {SECRET}"})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", f"Bearer {SECRET[:-1]}", f"Bearer {SECRET}0", f"Basic {SECRET}", SECRET, "Bearer \xff" + SECRET],
)
def test_a_request_with_another_token_is_refused_without_showing_it(guarded, authorization):
    for method, path in (("POST", "/predict"), ("POST", "/invocations"), ("GET", "/v2/models/bridge-fall")):
        reply = guarded.request(method, path, headers={"Authorization": authorization.encode("latin-1")})
        assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert error_of(reply) == "the bearer token is wrong"


def test_a_request_without_a_token_is_refused_with_what_to_send(guarded):
    for path in ("/predict", "/score", "/nothing"):
        reply = guarded.post(path, json=PROBE)
        assert (reply.status_code, error_of(reply)) == (401, "send the header Authorization: Bearer <token>")


def test_health_checks_need_no_token_but_only_they(guarded):
    assert {guarded.get(path).status_code for path in HEALTH_PATHS} == {200}
    assert guarded.post("/health", json=PROBE).status_code == 401


def test_a_token_that_can_be_guessed_or_not_sent_is_refused(tmp_path):
    for token in ("", "secret", "a" * 31, "a b" * 20, "\xe9" * 40, "a" * 40 + "\n"):
        with pytest.raises(DeploymentError, match="this token is not safe to use") as caught:
            AccessRules.for_host("127.0.0.1", {TOKEN: token})
        assert token.strip() == "" or token not in str(caught.value)
        assert caught.value.do


# The limit of requests per second


def test_more_requests_per_second_than_allowed_get_429_and_health_does_not_count(bundle):
    with serving(bundle, BRIDGE_ASSETS_REQUESTS_PER_SECOND="2") as url, httpx.Client(base_url=url) as client:
        replies = [client.post("/predict", json=PROBE) for _ in range(10)]
        assert replies[0].status_code == 200
        refused = replies[-1]
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert error_of(refused) == "your address sends more than 2 requests per second; retry in a second"
        assert {client.get("/health").status_code for _ in range(20)} == {200}


def test_requests_are_counted_by_address_and_refilled_continuously():
    rate = RequestRate(2)
    assert [rate.admits("a", 0.0) for _ in range(3)] == [True, True, False]
    assert rate.admits("b", 0.0)
    assert [rate.admits("a", 0.5) for _ in range(2)] == [True, False]
    assert [rate.admits("a", 100.0) for _ in range(3)] == [True, True, False], "a second's worth, not what was saved"


def test_a_rate_below_one_per_second_lets_one_request_through():
    rate = RequestRate(0.1)
    assert [rate.admits("a", now) for now in (0.0, 5.0, 10.5)] == [True, False, True]


def test_the_number_of_remembered_addresses_is_bounded():
    rate = RequestRate(1)
    for number in range(10_000):
        rate.admits(str(number), 0.0)
    assert len(rate._left) == 4096


# Where it listens


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_on_loopback_neither_is_needed(host):
    assert AccessRules.for_host(host, {}) == AccessRules(None, 0.0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "bridges.example.org"])
def test_elsewhere_a_token_is_needed_or_that_none_is_has_to_be_said(host):
    for environ in ({}, {WITHOUT_TOKEN: "0"}, {WITHOUT_TOKEN: ""}, {REQUESTS_PER_SECOND: "5"}):
        with pytest.raises(DeploymentError, match="anybody who reaches this address could use the model") as caught:
            AccessRules.for_host(host, environ)
        assert all(name in caught.value.do for name in (TOKEN, WITHOUT_TOKEN))
    digest = hashlib.sha256(SECRET.encode()).digest()
    assert AccessRules.for_host(host, {TOKEN: SECRET}) == AccessRules(digest, DEFAULT_REQUESTS_PER_SECOND)
    assert AccessRules.for_host(host, {WITHOUT_TOKEN: "1"}) == AccessRules(None, DEFAULT_REQUESTS_PER_SECOND)
    assert AccessRules.for_host(host, {WITHOUT_TOKEN: "1", REQUESTS_PER_SECOND: "0"}) == AccessRules()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({REQUESTS_PER_SECOND: "many"}, f"{REQUESTS_PER_SECOND}: this is not a number of requests per second"),
        ({REQUESTS_PER_SECOND: "-1"}, f"{REQUESTS_PER_SECOND}: this is not a number of requests per second"),
        ({REQUESTS_PER_SECOND: "nan"}, f"{REQUESTS_PER_SECOND}: this is not a number of requests per second"),
        ({WITHOUT_TOKEN: "yes"}, f"{WITHOUT_TOKEN}: this is neither 0 nor 1"),
    ],
)
def test_an_invalid_variable_is_refused_by_name(environ, message):
    with pytest.raises(DeploymentError) as caught:
        AccessRules.for_host("0.0.0.0", {WITHOUT_TOKEN: "1", **environ})
    assert message in str(caught.value)


def test_a_container_does_not_listen_elsewhere_unless_told_so(bundle, tmp_path):
    archive = bundle.write(tmp_path / "bundle.tar.gz")
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(archive), BRIDGE_ASSETS_HOST="0.0.0.0")
    assert "0.0.0.0: anybody who reaches this address could use the model" in error
    with serving(bundle, BRIDGE_ASSETS_HOST="0.0.0.0", BRIDGE_ASSETS_WITHOUT_TOKEN="1") as url:
        assert httpx.post(f"{url}/predict", json=PROBE, timeout=30).status_code == 200


def test_a_bundle_with_older_code_is_not_served_if_a_token_is_set(bundle, tmp_path):
    """After a rollback the code is that of the older deployment: it would let anybody in."""
    package = bundle.unpack(tmp_path / "package")
    with zipfile.ZipFile(package / "code.zip") as code:
        content = {name: code.read(name) for name in code.namelist()}
    server = "bridge_assets/serve/server.py"
    content[server] = content[server].replace(b"AccessRules", b"OlderRules")
    content["bridge_assets/serve/border/access.py"] += b"\nOlderRules = AccessRules\n"
    with zipfile.ZipFile(package / "code.zip", "w") as code:
        for name, source in content.items():
            code.writestr(name, source)
    error = start_error(BRIDGE_ASSETS_PACKAGE=str(package), BRIDGE_ASSETS_TOKEN=SECRET)
    assert "BRIDGE_ASSETS_TOKEN: the code in this bundle does not check tokens" in error


def run_command(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "BRIDGE_ASSETS_DATA__HOME": str(home)}
    return subprocess.run([*COMMAND, *options], env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_does_not_listen_elsewhere_unless_told_so(tmp_path, versions):
    LocalEndpoint(tmp_path / "endpoints" / "local", packages_kept=2).deploy(versions[0])
    ran = run_command(tmp_path, "--host", "0.0.0.0")
    assert ran.returncode == 1
    assert "anybody who reaches this address could use the model" in ran.stderr
    assert "Traceback" not in ran.stderr
    options = ["--host", "0.0.0.0", "--without-token", "--requests-per-second", "1"]
    server = ServerProcess([*COMMAND, *options], BRIDGE_ASSETS_DATA__HOME=str(tmp_path))
    statuses = [httpx.post(f"{server.url}/predict", json=PROBE, timeout=30).status_code for _ in range(3)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    assert server.stop() == 0


def test_the_image_says_where_it_listens_and_that_something_else_admits_callers():
    text = (Path(__file__).parents[3] / "Dockerfile").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("ENV BRIDGE_ASSETS_")]
    environ = dict(pair.split("=") for pair in line.removeprefix("ENV ").split())
    assert environ.keys() == {"BRIDGE_ASSETS_HOST", WITHOUT_TOKEN, REQUESTS_PER_SECOND}
    assert AccessRules.for_host(environ["BRIDGE_ASSETS_HOST"], environ) == AccessRules()
