"""The server's process: a socket, uvicorn on it, and an end that lets running answers finish."""

import asyncio
import ipaddress
import signal
import socket

import torch
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from dcmq.core.errors import DcmqError

_BACKLOG = 512  # connections that wait to be accepted
_MOST_CONNECTIONS = 500
REQUEST_SECONDS = 10.0  # in which the head of a request must arrive
_END_SECONDS = 15  # that answers have to finish when the server is stopped


def is_local(host: str) -> bool:
    """True where only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is a free one. Raises DcmqError where the host or the port cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        told = "choose another --port; 0 takes a free one"
        raise DcmqError(f"cannot listen on {host}, port {port}: {error.strerror}; {told}") from None


def address(host: str, listening: socket.socket) -> str:
    """The URL of a server that listens; where it listens on all addresses, with the name of this machine."""
    wildcard = host in ("0.0.0.0", "::", "")
    name = socket.gethostname() if wildcard else f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/"


def config_of(app: ASGIApp) -> uvicorn.Config:
    """uvicorn's settings: quiet, on HTTP/1.1 alone, within bounds."""
    return uvicorn.Config(
        app,
        http=_Impatient,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_END_SECONDS,
    )


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM, then finish the answers that are under way, and return."""
    torch.set_num_threads(1)
    server = uvicorn.Server(config_of(app))

    def stop(*_) -> None:
        server.should_exit = True

    # uvicorn listens for both while it runs, and gives them on to these when it has ended.
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Impatient(H11Protocol):
    """HTTP whose connections are closed where no whole head of a request arrives in time, whatever else does."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        # Head and body are written one after the other: else the second waits 40 ms until the first is acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_watching()
        elif self._patience is None:
            self._patience = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
