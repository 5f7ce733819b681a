"""The fastest handler that one could write around the same predictor: the limit that `request_path` compares with.

No check of a value, no missing values, no scale, no limits, no token, no log, no metrics: it parses a body with
msgspec, makes an array and predicts. `python -m benchmarks.bare_handler PACKAGE PORT`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import uvicorn

from bridge_assets.runtime.package import Package

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Body(msgspec.Struct):
    """The body of a request."""

    instances: list[dict[str, float]]


def bare_app(package: Path) -> ASGIApp:
    """The handler for the model in a package."""
    predictor = Package(package).load_model().predictor
    features, decode = predictor.features, msgspec.json.Decoder(Body).decode

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        rows = [[row[name] for name in features] for row in decode(body).instances]
        predictions = predictor.predict_matrix(np.array(rows, dtype=np.float32))
        answer = msgspec.json.encode({"predictions": predictions.tolist()})
        headers: list[tuple[bytes, bytes]] = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def main(package: str, port: str) -> None:
    settings: dict[str, Any] = {"access_log": False, "log_level": "warning", "lifespan": "off", "ws": "none"}
    uvicorn.run(bare_app(Path(package)), host="127.0.0.1", port=int(port), loop="asyncio", http="httptools", **settings)


if __name__ == "__main__":
    main(*sys.argv[1:])
