"""What a workspace of Azure ML leans on: sign-in, a blob store, and containers: real processes of the served app."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.tls_proxy import Answer, Request
from support.server_process import Server, booted

SIGN_IN, BLOBS = "login.microsoftonline.com", "bridgestore.blob.core.windows.net"
TENANT, TOKEN = "11111111-1111-1111-1111-111111111111", "a-token"

#: What a client that signs in as an application sets. The other variables keep its SDK from looking anywhere else.
CREDENTIALS = {
    "AZURE_TENANT_ID": TENANT,
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_CLIENT_SECRET": "a-secret",
    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
    "AZUREML_CURRENT_CLOUD": "AzureCloud",
}

_SECRETS = {
    "Sas": {"secretsType": "Sas", "sasToken": "sv=2024-01-01&sig=a-signature"},
    "AccountKey": {"secretsType": "AccountKey", "key": "YS1rZXk="},
}


def sign_in(asked: Request, error: str = "") -> Answer:
    """Microsoft Entra ID: a token, or why there is none."""
    base = f"https://{SIGN_IN}/{TENANT}"
    if asked.path.endswith("/token"):
        if error:
            return Answer(401, {"error": "invalid_client", "error_description": error})
        return Answer(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN})
    if asked.path.endswith("/openid-configuration"):
        known = {"issuer": f"{base}/v2.0", "authorization_endpoint": f"{base}/oauth2/v2.0/authorize"}
        return Answer(200, {**known, "token_endpoint": f"{base}/oauth2/v2.0/token"})
    hosts = {"preferred_network": SIGN_IN, "preferred_cache": "login.windows.net", "aliases": [SIGN_IN]}
    return Answer(200, {"tenant_discovery_endpoint": f"{base}/.well-known", "metadata": [hosts]})


@dataclass
class Store:
    """A storage account.

    Attributes
    ----------
    blobs : dict of str to (bytes, dict)
        Path, the container's name first -> content and metadata.
    opens_by : str
        A signature (`Sas`), the account's key (`AccountKey`), or who one is (`None`).
    corrupts : bool
        What is uploaded is not what is kept.
    """

    blobs: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    opens_by: str = "Sas"
    corrupts: bool = False

    @property
    def credentials(self) -> dict[str, str]:
        """What the workspace says of it."""
        return {"credentialsType": "None" if self.opens_by == "None" else "AccountKey"}

    @property
    def secrets(self) -> dict[str, str]:
        return _SECRETS[self.opens_by]

    def answer(self, asked: Request) -> Answer:
        authorization = asked.headers.get("authorization", "")
        opens = {
            "Sas": asked.query.get("sig") == "a-signature",
            "AccountKey": authorization.startswith("SharedKey bridgestore:"),
            "None": authorization == f"Bearer {TOKEN}",
        }
        if not opens[self.opens_by]:
            return Answer(403, b"", {"x-ms-error-code": "AuthenticationFailed"})
        stamped = {"ETag": '"1"', "Last-Modified": "Wed, 25 Nov 2026 00:00:00 GMT"}
        told = {name.removeprefix("x-ms-meta-"): it for name, it in asked.headers.items() if "x-ms-meta-" in name}
        content, metadata = self.blobs.get(asked.path, (b"", {}))
        match asked.method:
            case "PUT" if asked.query.get("comp") == "metadata":
                self.blobs[asked.path] = (content, told)
                return Answer(200, b"", stamped)
            case "PUT":
                self.blobs[asked.path] = (asked.body + b"?" * self.corrupts, told)
                return Answer(201, b"", stamped)
            case _ if asked.path not in self.blobs:
                return Answer(404, b"", {"x-ms-error-code": "BlobNotFound"})
            case "DELETE":
                del self.blobs[asked.path]
                return Answer(202)
        return Answer(200, b"", stamped | {f"x-ms-meta-{name}": value for name, value in metadata.items()})


@dataclass
class Containers:
    """Processes of the served app; the same model with the same variables is started once.

    Attributes
    ----------
    folder : Path
        Where models are mounted.
    logs : dict of str to str
        Name of a deployment -> what its container said before it ended.
    """

    folder: Path
    logs: dict[str, str] = field(default_factory=dict)
    _servers: dict[str, Server] = field(default_factory=dict)

    def start(self, name: str, file: str, model: bytes, environ: Mapping[str, str]) -> str:
        """The address of a container in which a model is mounted; empty if it does not come up."""
        key = f"{name} {file} {hash(model)} {sorted(environ.items())}"
        if key not in self._servers:
            mounted = Path(tempfile.mkdtemp(dir=self.folder))
            (mounted / file).write_bytes(model)
            try:
                self._servers[key] = booted(AZUREML_MODEL_DIR=str(mounted), **environ)
            except RuntimeError as error:
                self.logs[name] = str(error)
                return ""
        return self._servers[key].url

    def ask(self, url: str, asked: Request) -> Answer:
        """Pass a request on, as Azure ML does: what is not 200 there is 424 here."""
        passed_on = urllib.request.Request(url, asked.body, {"Content-Type": asked.headers["content-type"]})
        direct: Any = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(passed_on, timeout=30) as said:
                return Answer(200, said.read())
        except urllib.error.HTTPError as error:
            return Answer(424, error.read(), {"ms-azureml-model-error-statuscode": str(error.code)})

    def end(self) -> None:
        while self._servers:
            self._servers.popitem()[1].end()
