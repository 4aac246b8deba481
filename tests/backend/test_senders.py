"""Whom a request comes from, however the address is written: by the system, by a proxy, in the configuration."""

import pytest
from anontrace.backend import senders
from anontrace.backend.senders import Senders


@pytest.mark.parametrize(
    ("written", "hop"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("192.0.2.7:443", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7%eth0", "192.0.2.7"),
        ("[::ffff:192.0.2.7]", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:443", "192.0.2.7"),
        ('"[2001:db8::7]:443"', "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("[fe80::7%25]:1", "fe80::7"),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2.7:http", None),
        ("192.0.2.7:", None),
        ("192.0.2.07", None),
        ("[2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]443", None),
        ("192.0.2.7/32", None),
        ("", None),
    ],
)
def test_an_entry_of_x_forwarded_for_is_an_address_in_one_spelling_or_none(written: str, hop: str | None) -> None:
    found = senders.hop(written)
    assert (found and str(found)) == hop


@pytest.mark.parametrize(
    ("written", "inside", "outside"),
    [
        ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::ffff:a00:1/128", "::ffff:10.0.0.1", "::ffff:10.0.0.2"),
        ("::ffff:0:0/96", "192.0.2.1", "2001:db8::1"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
        ("::/0", "2001:db8::1", "192.0.2.1"),
        ("0.0.0.0/0", "::ffff:192.0.2.1", "::1"),
        ("fe80::/10", "fe80::1%eth0", "fec0::1"),
    ],
)
def test_a_configured_network_holds_the_same_addresses_in_whatever_spelling(
    written: str, inside: str, outside: str
) -> None:
    assert senders.address(inside) in Senders([written])
    assert senders.address(outside) not in Senders([written])


@pytest.mark.parametrize("text", ["example.org", "10.0.0.0/33", "::ffff:10.0.0.0/129", "10.0.0.1:80", ""])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an IP address or network"):
        senders.checked(text)


@pytest.mark.parametrize(
    ("lines", "sender"),
    [
        ([], "10.0.0.1"),
        (["", " , "], "10.0.0.1"),
        (["192.0.2.7"], "192.0.2.7"),
        (["203.0.113.9, 192.0.2.7"], "192.0.2.7"),
        (["203.0.113.9", "192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        (["192.0.2.7, ::ffff:10.0.0.2, [::ffff:10.0.0.3]:80"], "192.0.2.7"),
        (["192.0.2.7", "10.0.0.2:8080", ""], "192.0.2.7"),
        (["10.0.0.4, 10.0.0.2"], "10.0.0.4"),
        (["127.0.0.1, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        (["192.0.2.7, unknown"], None),
        (["192.0.2.7, unknown, 10.0.0.2"], None),
    ],
)
def test_behind_proxies_the_sender_is_the_last_one_that_is_none_of_them(lines: list[str], sender: str | None) -> None:
    proxies = Senders(["::ffff:10.0.0.0/120"])
    for peer in ("10.0.0.1", "::ffff:10.0.0.1"):
        found = proxies.before(senders.address(peer), lines)
        assert (found and str(found)) == sender
    assert str(proxies.before(senders.address("192.0.2.1"), lines)) == "192.0.2.1"
    assert proxies.before(None, lines) is None
