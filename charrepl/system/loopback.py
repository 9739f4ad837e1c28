"""Addresses that only programs on this machine can reach."""

from __future__ import annotations

import ipaddress


def address(host: str) -> str | None:
    """The IP address of a loopback host; None if the host is something else.

    `localhost` is 127.0.0.1, whatever /etc/hosts says.
    """
    number = "127.0.0.1" if host == "localhost" else host
    try:
        return number if ipaddress.ip_address(number).is_loopback else None
    except ValueError:
        return None


def url(host: str, port: int) -> str:
    """The URL of an HTTP server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
