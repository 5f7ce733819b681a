"""A Kubernetes API server on loopback, for the real client: one namespace, with pods that really serve.

No API server can be installed where the tests run, and the in-memory one on PyPI (kmock) has neither server-side apply
nor controllers. This one speaks the part of the real protocol that a deployment uses: get, list by labels, create,
replace, apply and delete (`objects`); pods and Services (`pods`); logs, and Services through its proxy; and its own
words for what it refuses (`errors`). Faults come on demand (`inject_error`, `drop_connections`, `drop_after`,
`restart`).
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml
from providers.kubernetes.errors import ApiError, denied_error
from providers.kubernetes.objects import ObjectStore
from providers.kubernetes.pods import Pods, ServiceProxy, forward_request

TOKEN = "a-token"

_PATH = re.compile(
    r"/api(?:s/(?P<group>[^/]+))?/v\d\w*/namespaces/(?P<namespace>[^/]+)/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>proxy|log)(?P<rest>/.*)?)?)?"
)
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass
class _Fault:
    pattern: re.Pattern[str]
    times: int
    answer: tuple[int, str, dict[str, str]] | None  # None = the connection is dropped
    applied: bool  # whether the request is processed anyway


@dataclass
class Kubernetes:
    """A cluster.

    Attributes
    ----------
    namespace : str
    rules : list of dict
        Rules of the Role of the token's user.
    store : ObjectStore
    pods : Pods
    requests : list of str
        `METHOD path?query`, in order.
    drop_after : int or None
        Number of changes that are still processed; after that every connection is dropped, as for a killed client.
    used_rights : set of tuple
        API group, resource and verb of every request that the rules allowed.
    """

    namespace: str
    rules: list[dict[str, Any]]
    store: ObjectStore
    pods: Pods
    url: str = ""
    requests: list[str] = field(default_factory=list)
    drop_after: int | None = None
    faults: list[_Fault] = field(default_factory=list)
    service_proxies: list[ServiceProxy] = field(default_factory=list)
    used_rights: set[tuple[str, str, str]] = field(default_factory=set)
    _away: bool = False
    _rights_loaded: bool = True

    def inject_error(self, pattern: str, status: int, message: str = "", *, times: int = 1000, **headers: str) -> None:
        """Respond to matching requests with an error."""
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.append(_Fault(re.compile(pattern), times, (status, message, sent_headers), False))

    def drop_connections(self, pattern: str, *, times: int = 1000, done: bool) -> None:
        """Drop the connection of matching requests, before or after processing them (`done`)."""
        self.faults.append(_Fault(re.compile(pattern), times, None, done))

    def clear_faults(self) -> None:
        self.faults.clear()
        self.drop_after = None

    def restart(self, away_seconds: float, loading_seconds: float) -> None:
        """Restart the API server: no connection while it is away, then 403 to everything until it knows the rights.
        The pods keep running.
        """
        self._away, self._rights_loaded = True, False

        def come_back() -> None:
            time.sleep(away_seconds)
            self._away = False
            time.sleep(loading_seconds)
            self._rights_loaded = True

        threading.Thread(target=come_back, daemon=True).start()

    @property
    def changes(self) -> list[str]:
        """Changes by clients, without the Lease."""
        return [change for change in self.store.changes if " leases/" not in change]

    def names(self, plural: str) -> list[str]:
        with self.store.lock:
            return [each["metadata"]["name"] for each in self.store.all(plural)]

    def deployment(self, name: str) -> dict[str, Any]:
        return self.store.objects["deployments", name]

    def open_service_proxy(self, service: str, delay: float = 0.1) -> str:
        """The address of a Service for clients that are not the API server; it learns of pods `delay` seconds late."""
        self.service_proxies.append(proxy := ServiceProxy(self.pods, service, delay))
        return proxy.url

    def kubeconfig(self, path: Path, token: str = TOKEN, context: str = "test") -> Path:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": context, "context": {"cluster": "test", "user": "test"}}],
            "current-context": context,
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def handle(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and response of a request, without faults."""
        found = _PATH.fullmatch(path)
        if not found:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if found["namespace"] != self.namespace:
            raise ApiError(404, "NotFound", f'namespaces "{found["namespace"]}" not found')
        plural, name = found["plural"], found["name"] or ""
        self._authorize(method, found["group"] or "", plural, name, found["sub"])
        if found["sub"] == "proxy":
            with self.store.lock:
                service = self.store.get((plural, name.partition(":")[0]))
            return forward_request(self.pods, service, method, found["rest"], body)
        with self.store.lock:
            if found["sub"] == "log":
                lines = self.pods.logs.get(name, "").splitlines(keepends=True)
                return 200, "".join(lines[-int(query["tailLines"]) :]).encode()
            return 200, json.dumps(self._object(method, (plural, name), query, body)).encode()

    def _authorize(self, method: str, group: str, plural: str, name: str, sub: str | None) -> None:
        verbs = [_VERBS[method] if name or method == "POST" else "list"]
        if method == "PATCH" and (plural, name) not in self.store.objects:
            verbs.append("create")
        resource = f"{plural}/{sub}" if sub else plural
        for verb in verbs:
            if not self._rights_loaded or not any(
                group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
                for rule in self.rules
            ):
                raise denied_error(verb, group, resource, name, self.namespace)
            self.used_rights.add((group, resource, verb))

    def _object(self, method: str, key: tuple[str, str], query: dict[str, str], body: bytes) -> dict[str, Any]:
        document = json.loads(body) if body else {}
        if method == "GET":
            if key[1]:
                return self.store.get(key)
            selector = dict(pair.split("=") for pair in query["labelSelector"].split(","))
            # Items of a list do not contain their kind.
            items = [
                {part: value for part, value in each.items() if part not in ("kind", "apiVersion")}
                for each in self.store.all(key[0], selector)
            ]
            return {"kind": "List", "items": items}
        if method == "POST":
            return self.store.create((key[0], document["metadata"]["name"]), document)
        if method == "PUT":
            return self.store.replace(key, document)
        if method == "PATCH":
            manager, force, dry_run = query["fieldManager"], query["force"] == "true", query.get("dryRun") == "All"
            return self.store.apply(key, document, manager, force=force, dry_run=dry_run)
        return self.store.delete(key, document.get("preconditions", {}).get("resourceVersion"))


def _handler(cluster: Kubernetes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # a client that was killed: half a request is none
                self.close_connection = True
                return
            request_line = f"{self.command} {self.path}"
            cluster.requests.append(request_line)
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            changes = self.command != "GET" and "/proxy" not in parts.path and "dryRun" not in query
            if cluster._away:
                self.close_connection = True
                return
            if cluster.drop_after is not None:
                cluster.drop_after -= changes and cluster.drop_after >= 0
                if cluster.drop_after < 0:
                    self.close_connection = True
                    return
            fault = next((each for each in cluster.faults if each.times and each.pattern.search(request_line)), None)
            if fault is None:
                self._send(*self._answer(parts.path, query, body))
                return
            fault.times -= 1
            if fault.answer:
                status, message, headers = fault.answer
                self._send(status, json.dumps(ApiError(status, "", message).body).encode(), headers)
                return
            if fault.applied:
                self._answer(parts.path, query, body)
            self.close_connection = True

        def _answer(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise ApiError(401, "Unauthorized", "Unauthorized")
                return cluster.handle(self.command, path, query, body)
            except ApiError as refused:
                return refused.status, json.dumps(refused.body).encode()

        def _send(self, status: int, answer: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            sent_headers = {"Content-Type": "application/json", "Content-Length": str(len(answer)), **(headers or {})}
            for name, value in sent_headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

    return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that was killed
            super().handle_error(request, client_address)


@contextmanager
def kubernetes_server(
    rules: list[dict[str, Any]], namespace: str = "bridges", *, seconds_scale: float = 0.02, processes: bool = False
) -> Iterator[Kubernetes]:
    """A cluster on loopback.

    Parameters
    ----------
    rules : list of dict
        Permissions of the client, in the format of a Role.
    namespace : str
    seconds_scale : float
        Real seconds per second in a manifest.
    processes : bool
        Whether each pod is a separate process.
    """
    store = ObjectStore()
    cluster = Kubernetes(namespace, rules, store, Pods(store, seconds_scale, processes))
    server = _Server(("127.0.0.1", 0), _handler(cluster))
    server.daemon_threads = True
    cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
    works: list[Callable[[], None]] = [lambda: server.serve_forever(poll_interval=0.02), cluster.pods.run]
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield cluster
    finally:
        for proxy in cluster.service_proxies:
            proxy.close()
        cluster.pods.stop()
        server.shutdown()
        server.server_close()
