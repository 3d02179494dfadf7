"""The calibrator: a bare ASGI application that sends the same bytes whatever it is asked, on the server's own uvicorn, uvloop
and httptools. What it reaches is what this machine and these libraries allow a server in Python before it does any work.

Run as `python -m bench.calibrator FILE`: answers with the content of FILE on a free port, which it prints.
"""

import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn


def application(body: bytes) -> Any:
    """An ASGI application that answers every request with `body`."""
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
    }
    end = {"type": "http.response.body", "body": body}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start)
        await send(end)

    return app


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(listener.getsockname()[1], flush=True)
        # As in the server, so that the difference between the two is the server's own work.
        config = uvicorn.Config(
            application(Path(sys.argv[1]).read_bytes()),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
