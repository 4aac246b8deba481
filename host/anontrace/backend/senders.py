"""Whom a request or connection comes from: IP addresses against the addresses and networks of a configuration.

An IPv4 address mapped to IPv6 (as a socket that takes both shows it) counts as IPv4 here, whether the system, a proxy
or the configuration wrote it. Never resolves a name.
"""

import ipaddress
from collections.abc import Iterable, Sequence

_IPV6_SITE = 64  # bits that one client has for itself
_MAPPED_BITS = 96  # of an IPv6 address, before the IPv4 address that is mapped to it

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network:
    """An address or network, also with bits set behind its prefix. ValueError if it is none."""
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or network") from None
    mapped = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    if mapped is None or found.prefixlen < _MAPPED_BITS:
        return found
    return ipaddress.IPv4Network((mapped, found.prefixlen - _MAPPED_BITS))


def checked(text: str) -> str:
    """An address or network as it stands. ValueError if it is none."""
    network(text)
    return text


def address(host: str) -> Address | None:
    """The address in a text, without its zone; None if it is none."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def hop(text: str) -> Address | None:
    """The address in one entry of X-Forwarded-For: alone, in brackets or quotes, or with a port. None if it is none."""
    host = text.strip().strip('"')
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        if rest and not _is_port(rest):
            return None
    elif host.count(":") == 1:
        host, colon, port = host.partition(":")
        if not _is_port(colon + port):
            return None
    return address(host)


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isdecimal() and text.isascii()


def site(sender: Address | None) -> str:
    """What one client cannot change: an IPv4 address, or the first half of an IPv6 one. "None" for no address."""
    if isinstance(sender, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(sender), _IPV6_SITE), strict=False))
    return str(sender)


class Senders:
    """Some addresses and networks."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [network(each) for each in networks]

    def __contains__(self, sender: Address | None) -> bool:
        return sender is not None and any(sender in each for each in self._networks)

    def before(self, peer: Address | None, forwarded: Iterable[str]) -> Address | None:
        """Who came to these proxies: the peer itself unless it is one of them, else the last of what they wrote into
        X-Forwarded-For (its lines, in order) that is none of them. None if they wrote something else there."""
        if peer not in self:
            return peer
        hops = [each for line in forwarded for each in line.split(",") if each.strip()]
        found = peer
        for each in reversed(hops):
            found = hop(each)
            if found not in self:
                break
        return found
