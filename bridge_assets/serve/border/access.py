"""Who may call the app: a bearer token, a limit of requests per second, and where the server may listen without either.

=================================  ================================================================================
BRIDGE_ASSETS_TOKEN                The token that a request must send as `Authorization: Bearer ...`. Only read from
                                   the environment, where other users of the machine do not see it.
BRIDGE_ASSETS_WITHOUT_TOKEN        1 = listen without a token on another address than loopback, because something in
                                   front of the server admits callers: a provider, a gateway, a network policy.
BRIDGE_ASSETS_REQUESTS_PER_SECOND  Requests per second from one address; 0 = any number. Default: any number on
                                   loopback, `DEFAULT_REQUESTS_PER_SECOND` elsewhere.
=================================  ================================================================================

Health checks need no token and are not counted: whoever watches the server has none.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from bridge_assets.errors import DeploymentError
from bridge_assets.metrics.measure_requests import METRICS_PATH

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN, WITHOUT_TOKEN = "BRIDGE_ASSETS_TOKEN", "BRIDGE_ASSETS_WITHOUT_TOKEN"
REQUESTS_PER_SECOND = "BRIDGE_ASSETS_REQUESTS_PER_SECOND"

#: Requests per second from one address where the server listens on another address than loopback. A chosen limit: with
#: 10,000 rows in each, more than one processor predicts.
DEFAULT_REQUESTS_PER_SECOND = 100.0

#: Characters of the shortest token. A chosen limit: 32 hexadecimal digits cannot be guessed.
_MIN_TOKEN = 32

#: Addresses whose requests are counted; the one that was silent longest is forgotten first. A chosen limit.
_MAX_ADDRESSES = 4096


@dataclass(frozen=True)
class AccessRules:
    """Who may call the app.

    Attributes
    ----------
    token_digest : bytes or None
        SHA-256 of the token; None = none is needed.
    requests_per_second : float
        From one address; 0 = any number.
    """

    token_digest: bytes | None = None
    requests_per_second: float = 0.0

    @classmethod
    def for_host(cls, host: str, environ: Mapping[str, str], could: str = "use the model") -> AccessRules:
        """The rules for an address to listen on.

        Parameters
        ----------
        host : str
        environ : mapping
        could : str
            What anybody could do without them, for the error.

        Raises
        ------
        DeploymentError
            If a variable is invalid, or the address is not loopback, there is no token, and it is not said that none is
            needed.
        """
        token, is_loopback = _token(environ), _is_loopback(host)
        if token is None and not is_loopback and not _is_set(environ, WITHOUT_TOKEN):
            raise DeploymentError(
                f"anybody who reaches this address could {could}",
                where=host,
                why=f"It is not a loopback address, and {TOKEN} is not set",
                do=f"listen on 127.0.0.1, or set {TOKEN} to a secret (openssl rand -hex 32); if something in front of "
                f"the server admits callers, set {WITHOUT_TOKEN}=1, as the Dockerfile does (rebuild an older image)",
            )
        default = 0.0 if is_loopback else DEFAULT_REQUESTS_PER_SECOND
        digest = None if token is None else hashlib.sha256(token.encode()).digest()
        return cls(digest, _rate(environ.get(REQUESTS_PER_SECOND, ""), default))

    def admits_token(self, authorization: str) -> bool:
        """Whether an Authorization header has the token. Takes equally long for every wrong one."""
        scheme, _, token = authorization.partition(" ")
        if self.token_digest is None:
            return True
        found = hashlib.sha256(token.strip().encode("latin-1", "replace")).digest()
        return hmac.compare_digest(found, self.token_digest) and scheme.lower() == "bearer"


class RequestRate:
    """Counts requests by address: each has a second's worth of them, which is refilled continuously."""

    def __init__(self, requests_per_second: float) -> None:
        self._rate, self._burst = requests_per_second, max(1.0, requests_per_second)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, address: str, now: float) -> bool:
        """Count a request; whether it is within the limit. `now`: in seconds, of a clock that never goes back."""
        left, since = self._left.pop(address, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _MAX_ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1


@dataclass(frozen=True)
class Refusal:
    """The answer to a request that is not admitted."""

    status: int
    message: str
    headers: Mapping[str, str]


class Guard:
    """Middleware: health checks first, then the token, then the limit of requests per second.

    A connection above the bound (`connections`) gets an answer to health checks and scrapes only: a server that has too
    much to do is the one to be watched.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules, health_paths: frozenset[str]) -> None:
        self._app, self._rules, self._health_paths = app, rules, health_paths
        self._rate = RequestRate(rules.requests_per_second) if rules.requests_per_second else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self.refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"error": refusal.message}, refusal.status, refusal.headers)(scope, receive, send)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why a request is not admitted; None if it is."""
        if scope["path"] in self._health_paths and scope["method"] in ("GET", "HEAD"):
            return None
        if scope.get("state", {}).get("above_bound") and scope["path"] != METRICS_PATH:
            headers = {"Retry-After": "1", "Connection": "close"}
            return Refusal(503, "too many connections are open; retry in a second", headers)
        if self._rate is None and self._rules.token_digest is None:
            return None
        # Before the token is compared, so that tokens cannot be tried at any speed.
        address = (scope.get("client") or ("",))[0]
        if self._rate and not self._rate.admits(address, time.monotonic()):
            limit = f"{self._rules.requests_per_second:g} requests per second"
            message = f"your address sends more than {limit}; retry in a second"
            return Refusal(429, message, {"Retry-After": "1"})
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not self._rules.admits_token(given.decode("latin-1")):
            what = "the bearer token is wrong" if given else "send the header Authorization: Bearer <token>"
            return Refusal(401, what, {"WWW-Authenticate": "Bearer"})
        return None


def _token(environ: Mapping[str, str]) -> str | None:
    token = environ.get(TOKEN)
    if token is None:
        return None
    if len(token) >= _MIN_TOKEN and token.isascii() and token.isprintable() and " " not in token:
        return token
    why = (
        f"It has {len(token)} characters"
        if len(token) < _MIN_TOKEN
        else "It has a space, or a character that a header cannot have"
    )
    raise DeploymentError(
        "this token is not safe to use",
        where=TOKEN,
        why=why,
        do=f"set it to at least {_MIN_TOKEN} printable ASCII characters (openssl rand -hex 32), or unset it",
    )


def _rate(text: str, default: float) -> float:
    try:
        rate = float(text) if text else default
    except ValueError:
        rate = -1.0
    if 0 <= rate < float("inf"):
        return rate
    raise DeploymentError(
        "this is not a number of requests per second",
        where=REQUESTS_PER_SECOND,
        why=f"It is {text[:40]!r}",
        do="set it to a number such as 100, or 0 for any number",
    )


def _is_set(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "")
    if value in ("", "0", "1"):
        return value == "1"
    raise DeploymentError(
        "this is neither 0 nor 1", where=name, why=f"It is {value[:40]!r}", do="set it to 1, or unset it"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
