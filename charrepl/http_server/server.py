"""The server: its socket, and everything behind it, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from charrepl.errors import CharreplError, reason
from charrepl.http_server import connections
from charrepl.http_server.access import Access
from charrepl.http_server.endpoints import Defaults, Endpoints
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl.suggestions.suggester import Suggester
from charrepl.suggestions.taken_ghosts import TakenGhosts
from charrepl.system import loopback

_BACKLOG = 256
_SEND_BYTES = 64 << 10  # that the system keeps for a reader that is slow; answers have some hundred


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens on a loopback address. Raises CharreplError if it cannot, or it is another."""
    number = loopback.address(address)
    if number is None:
        raise CharreplError(
            f"{address} is not a loopback address: other machines reach a daemon by "
            "charrepl-daemon start --endpoint, with keys on both sides"
        )
    family = socket.AF_INET6 if ":" in number else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it, an answer takes 40 ms more.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        try:
            opened.bind((number, port))
            opened.listen(_BACKLOG)
        except OSError as error:
            raise CharreplError(
                f"cannot listen on port {port}: {reason(error)}: give another --port"
            ) from None
        yield opened


@contextlib.contextmanager
def listening_at(path: Path) -> Iterator[socket.socket]:
    """A Unix socket that listens at a path, which only its owner can open. It is removed in the end.

    Raises CharreplError if it cannot.
    """
    with socket.socket(socket.AF_UNIX) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        _remove_dead(path)
        mask = os.umask(0o177)
        try:
            opened.bind(os.fspath(path))
            opened.listen(_BACKLOG)
        except OSError as error:
            raise CharreplError(f"cannot listen at {path}: {reason(error)}: give another --unix") from None
        finally:
            os.umask(mask)
        made = path.stat().st_ino
        try:
            yield opened
        finally:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == made:  # nobody has put another in its place
                    path.unlink()


def _remove_dead(path: Path) -> None:
    """Removes the socket of a server that was killed. Raises CharreplError if something else is there."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise CharreplError(f"{path} exists and is not a socket: give another --unix")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(os.fspath(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError:
        return  # nothing is there, or binding will say better what is wrong
    else:
        raise CharreplError(f"a server listens at {path} already: give another --unix, or end that one")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone: uvicorn would end the process before everything else has ended."""
        yield

    def heed_signals(self) -> None:
        """Lets a signal end it, from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread
                loop.add_signal_handler(number, self.handle_exit, number, None)


async def serve(
    opened: socket.socket,
    *,
    key: str | None,
    defaults: Defaults,
    endpoint: str | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Answers on a socket until a signal ends it; with a `key`, only those who show it.

    `ready` is called once it does. endpoint: another daemon than this user's own.
    """
    counts = KeysSaved()
    async with Suggester(endpoint=endpoint, name="http") as suggester:
        endpoints = Endpoints(suggester, TakenGhosts(counts), access=Access(key), defaults=defaults)
        server = _Server(uvicorn.Config(endpoints.app, **connections.settings()))
        server.heed_signals()
        async with counts.kept_written():
            ready()  # clients that connect from here on wait in the socket's queue
            await server.serve([opened])
