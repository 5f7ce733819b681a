"""Services that a workspace of Azure ML uses: sign-in, a blob store, and containers (real processes of the app)."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from providers.tls_proxy import Request, Response
from support.deployment.server_process import ServerProcess, start_container

SIGN_IN, BLOBS = "login.microsoftonline.com", "bridgestore.blob.core.windows.net"
TENANT, TOKEN = "11111111-1111-1111-1111-111111111111", "a-token"

#: Variables of a client that signs in as an application. The last two keep its SDK from looking anywhere else.
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


def sign_in(request: Request, error: str = "") -> Response:
    """Microsoft Entra ID: returns a token, or an error."""
    base = f"https://{SIGN_IN}/{TENANT}"
    if request.path.endswith("/token"):
        if error:
            return Response(401, {"error": "invalid_client", "error_description": error})
        return Response(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN})
    if request.path.endswith("/openid-configuration"):
        known = {"issuer": f"{base}/v2.0", "authorization_endpoint": f"{base}/oauth2/v2.0/authorize"}
        return Response(200, {**known, "token_endpoint": f"{base}/oauth2/v2.0/token"})
    hosts = {"preferred_network": SIGN_IN, "preferred_cache": "login.windows.net", "aliases": [SIGN_IN]}
    return Response(200, {"tenant_discovery_endpoint": f"{base}/.well-known", "metadata": [hosts]})


@dataclass
class BlobStore:
    """A storage account.

    Attributes
    ----------
    blobs : dict of str to (bytes, dict)
        Path, which begins with the container's name -> content and metadata.
    auth_mode : str
        A signature (`Sas`), the account's key (`AccountKey`), or the caller's identity (`None`).
    corrupts_uploads : bool
        Whether uploads are stored with other bytes.
    """

    blobs: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    auth_mode: str = "Sas"
    corrupts_uploads: bool = False

    @property
    def credentials(self) -> dict[str, str]:
        """The credentials as the workspace describes them."""
        return {"credentialsType": "None" if self.auth_mode == "None" else "AccountKey"}

    @property
    def secrets(self) -> dict[str, str]:
        return _SECRETS[self.auth_mode]

    def handle(self, request: Request) -> Response:
        authorization = request.headers.get("authorization", "")
        is_authorized = {
            "Sas": request.query.get("sig") == "a-signature",
            "AccountKey": authorization.startswith("SharedKey bridgestore:"),
            "None": authorization == f"Bearer {TOKEN}",
        }
        if not is_authorized[self.auth_mode]:
            return Response(403, b"", {"x-ms-error-code": "AuthenticationFailed"})
        headers = {"ETag": '"1"', "Last-Modified": "Wed, 25 Nov 2026 00:00:00 GMT"}
        metadata_sent = {
            name.removeprefix("x-ms-meta-"): it for name, it in request.headers.items() if "x-ms-meta-" in name
        }
        content, metadata = self.blobs.get(request.path, (b"", {}))
        match request.method:
            case "PUT" if request.query.get("comp") == "metadata":
                self.blobs[request.path] = (content, metadata_sent)
                return Response(200, b"", headers)
            case "PUT":
                self.blobs[request.path] = (request.body + b"?" * self.corrupts_uploads, metadata_sent)
                return Response(201, b"", headers)
            case _ if request.path not in self.blobs:
                return Response(404, b"", {"x-ms-error-code": "BlobNotFound"})
            case "DELETE":
                del self.blobs[request.path]
                return Response(202)
        return Response(200, b"", headers | {f"x-ms-meta-{name}": value for name, value in metadata.items()})


@dataclass
class Containers:
    """Processes of the served app; the same model with the same variables is started only once.

    Attributes
    ----------
    folder : Path
        Models are mounted below it.
    logs : dict of str to str
        Name of a deployment -> the log of its container before it ended.
    """

    folder: Path
    logs: dict[str, str] = field(default_factory=dict)
    _servers: dict[str, ServerProcess] = field(default_factory=dict)

    def start(self, name: str, file: str, model: bytes, environ: Mapping[str, str]) -> str:
        """The address of a container in which a model is mounted; empty if it does not start."""
        key = f"{name} {file} {hash(model)} {sorted(environ.items())}"
        if key not in self._servers:
            mounted = Path(tempfile.mkdtemp(dir=self.folder))
            (mounted / file).write_bytes(model)
            try:
                self._servers[key] = start_container(AZUREML_MODEL_DIR=str(mounted), **environ)
            except RuntimeError as error:
                self.logs[name] = str(error)
                return ""
        return self._servers[key].url

    def forward(self, url: str, request: Request) -> Response:
        """Forward a request, as Azure ML does: any status but 200 becomes 424."""
        forwarded = urllib.request.Request(url, request.body, {"Content-Type": request.headers["content-type"]})
        direct: Any = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(forwarded, timeout=30) as response:
                return Response(200, response.read())
        except urllib.error.HTTPError as error:
            return Response(424, error.read(), {"ms-azureml-model-error-statuscode": str(error.code)})

    def stop(self) -> None:
        while self._servers:
            self._servers.popitem()[1].stop()
