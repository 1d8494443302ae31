"""Limits of the connections and requests of one API process."""

import ipaddress
import resource
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from cineclub.settings import Settings

FEWEST_CONNECTIONS = 8
RESERVED_FILES = 64
"""File descriptors for everything but connections: PostgreSQL, models, logs, processes of promotions."""
IPV6_PREFIX = 64
"""One customer of a provider has at least this many bits of addresses, which count as one address."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one API process; each is a setting.

    Attributes:
        head_bytes: of request line and headers.
        n_headers: of one request.
        head_seconds: from the first byte of a head, or the start of a connection, to the end of the head.
        body_seconds: from the end of the head to the end of the body.
        unread_seconds: in which a client must take the next 48 KB of a response.
        n_connections: of this process.
        n_per_address: of one address, IPv6 addresses by their first 64 bits.
        proxies: networks without the limit for one address.
    """

    head_bytes: int
    n_headers: int
    head_seconds: float
    body_seconds: float
    unread_seconds: float
    n_connections: int
    n_per_address: int
    proxies: tuple[Network, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits of the settings; there are fewer connections if few files may be open."""
        n_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        room = settings.max_connections
        if n_files != resource.RLIM_INFINITY:
            room = min(room, max(FEWEST_CONNECTIONS, n_files - RESERVED_FILES))
        return cls(
            head_bytes=settings.max_head_bytes,
            n_headers=settings.max_headers,
            head_seconds=settings.head_seconds,
            body_seconds=settings.body_seconds,
            unread_seconds=settings.unread_seconds,
            n_connections=room,
            n_per_address=settings.max_connections_per_address,
            proxies=_networks(settings.proxy_addresses),
        )

    def group_of(self, address: str) -> str | None:
        """Return the group that an address counts for; None on this machine and for proxies, which have no limit."""
        return _group_of(address, self.proxies)


def _networks(addresses: str) -> tuple[Network, ...]:
    """Return the networks of valid addresses separated by commas."""
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in addresses.split(",") if text.strip())


@lru_cache(maxsize=4096)
def _group_of(address: str, proxies: tuple[Network, ...]) -> str | None:
    """Return the group of an address."""
    try:
        host = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # no address of a network, such as a socket file
        return None
    host = (host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None) or host
    if host.is_loopback or any(host in network for network in proxies):
        return None
    if host.version == 4:  # noqa: PLR2004 - IPv4
        return str(host)
    return str(ipaddress.ip_network((host, IPV6_PREFIX), strict=False))
