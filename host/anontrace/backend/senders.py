"""Whom a request or connection comes from: IP addresses against the addresses and networks of a configuration."""

import ipaddress
from collections.abc import Sequence

_IPV6_SITE = 64  # bits that one client has for itself

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked(text: str) -> str:
    """An address or network as it stands. ValueError if it is none."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or network") from None
    return text


def address(host: str) -> Address | None:
    """The address in a text, an IPv4 one that was mapped to IPv6 as itself; None if it is none."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def site(sender: Address | None) -> str:
    """What one client cannot change: an IPv4 address, or the first half of an IPv6 one. "None" for no address."""
    if isinstance(sender, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(sender), _IPV6_SITE), strict=False))
    return str(sender)


class Senders:
    """Some addresses and networks."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def __contains__(self, sender: Address | None) -> bool:
        return sender is not None and any(sender in each for each in self._networks)
