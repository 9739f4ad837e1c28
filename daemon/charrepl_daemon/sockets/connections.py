"""The connections to a socket: which one a message came through, whether it is still there, and its end.

ZeroMQ tells a ROUTER that a client has left only when it sends something, and cannot close a single
connection. The system can do both: clients that have left are known immediately, and those that send a
message that never ends are cut off.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket as sockets
import termios
from typing import NamedTuple

import zmq


class Connection(NamedTuple):
    """A connection, as the system knows it."""

    descriptor: int
    inode: int  # of its socket: descriptors are used again

    @property
    def is_open(self) -> bool:
        """Whether it is still there."""
        try:
            return os.fstat(self.descriptor).st_ino == self.inode
        except OSError:
            return False


def connection_of(frame: zmq.Frame) -> Connection | None:
    """The connection that a frame came through; None if ZeroMQ does not tell."""
    try:
        descriptor = int(frame.get(zmq.SRCFD))
    except (zmq.ZMQError, ValueError):
        return None
    return _at(descriptor) or Connection(-1, -1)  # closed by now


def _at(descriptor: int) -> Connection | None:
    try:
        return Connection(descriptor, os.fstat(descriptor).st_ino)
    except OSError:
        return None


class Connections:
    """The connections to one socket, and which of them sent a whole message lately."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._heard: set[Connection] = set()

    def accepted(self, descriptor: int) -> None:
        """Records a new one."""
        connection = _at(descriptor)
        if connection is not None:
            self._open.add(connection)

    def heard(self, connection: Connection | None) -> None:
        """Records that a whole message has come."""
        if connection is not None:
            self._heard.add(connection)

    def look(self) -> list[Connection]:
        """Those that have sent nothing whole since the last look."""
        heard, self._heard = self._heard, set()
        self._open = {connection for connection in self._open if connection.is_open}
        return [connection for connection in self._open if connection not in heard]


def endless(silent: list[Connection]) -> list[Connection]:
    """Those `silent` connections that are sending something. If none seems to, all of them."""
    return [connection for connection in silent if _unread(connection)] or silent


def _unread(connection: Connection) -> int:
    found = array.array("i", [0])
    try:
        fcntl.ioctl(connection.descriptor, termios.FIONREAD, found)
    except OSError:
        return 0
    return found[0]


def cut(connection: Connection) -> None:
    """Ends a connection; ZeroMQ frees what it has of it, and its client connects anew."""
    try:
        descriptor = os.dup(connection.descriptor)
    except OSError:
        return  # it has ended
    with sockets.socket(fileno=descriptor) as socket:
        if os.fstat(descriptor).st_ino == connection.inode:
            try:
                socket.shutdown(sockets.SHUT_RDWR)
            except OSError:
                return
