"""The `store` line of server.toml."""

import pytest
from anontrace.backend.store import address
from anontrace_shared.errors import FormatError


def test_one_line_names_nodes_prefix_shards_and_copies() -> None:
    plain = address.parse("redis://10.0.0.1:6379", "mailbox")
    assert (plain.nodes, plain.prefix, plain.shards, plain.copies) == ((("10.0.0.1", 6379),), "mailbox", 16, 1)
    full = address.parse("redis://a:1,[::1]:65535?prefix=net.mailbox&shards=64&copies=0", "mailbox")
    assert full.nodes == (("a", 1), ("::1", 65535))
    assert (full.prefix, full.shards, full.copies, full.encrypted) == ("net.mailbox", 64, 0, False)
    secured = address.parse("rediss://a:1?ca=redis-ca.pem", "mailbox")
    assert (secured.encrypted, secured.ca_file) == (True, "redis-ca.pem")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rocksdb", "redis://HOST:PORT"),
        ("https://a:1", "rediss://"),
        ("redis://a:1?ca=ca.pem", "only rediss://"),
        ("rediss://a:1?ca=", "file with certificates"),
        ("rediss://user:secret@a:1", "store.password"),
        ("redis://a:1/0", "redis://HOST:PORT"),
        ("redis://:secret@a:1", "store.password"),
        ("redis://", "HOST:PORT"),
        ("redis://a", "HOST:PORT"),
        ("redis://a:0", "HOST:PORT"),
        ("redis://a:1,", "HOST:PORT"),
        ("redis://a:1?shards=0", "shards"),
        ("redis://a:1?shards=x", "shards"),
        ("redis://a:1?copies=9", "copies"),
        ("redis://a:1?prefix={x}", "prefix"),
        ("redis://a:1?db=1", "db"),
    ],
)
def test_what_is_wrong_with_it_is_said_without_quoting_a_password(text: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason) as caught:
        address.parse(text, "mailbox")
    assert "secret" not in str(caught.value)
