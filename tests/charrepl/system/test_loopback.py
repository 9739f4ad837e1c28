"""Which hosts are this machine's own loopback, and how they stand in a URL."""

from __future__ import annotations

import pytest

from charrepl.system import loopback


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.8.9.1", "127.8.9.1"),
        ("::1", "::1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", None),
        ("::", None),
        ("192.168.1.2", None),
        ("example.org", None),
        ("", None),
    ],
)
def test_a_loopback_host_has_an_address_and_another_has_none(host, address):
    assert loopback.address(host) == address


def test_an_address_of_ipv6_has_brackets_in_a_url():
    assert loopback.url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert loopback.url("::1", 8012) == "http://[::1]:8012"
