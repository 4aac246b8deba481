"""The network file: errors name the file, the line and what is wrong."""

from pathlib import Path

import pytest
from anontrace.wire import network
from anontrace.wire.network import Network
from anontrace.wire.tomllines import line_of
from anontrace_shared.errors import FormatError

from tests.wire.samples import NETWORK

TEXT = NETWORK.to_toml()
LINES = TEXT.splitlines()


def test_a_saved_network_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    NETWORK.save(path)
    assert network.load(path) == NETWORK


def test_pins_and_roles() -> None:
    assert sorted(NETWORK.pins) == [1, 2, 3, 4, 5, 6]
    assert NETWORK.with_role("nymserver") == (5,)
    assert NETWORK.with_role("mailbox") == (6,)
    assert NETWORK.name == 'The "first" network, für alle'


def replaced(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


KEY_OF_2 = NETWORK.pins[2].key.hex()
KEY_OF_1 = NETWORK.pins[1].key.hex()


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        (replaced("number = 2", "number = 256"), "number = 2", "less than or equal to 255"),
        (replaced("number = 2", 'number = "2"'), "number = 2", "valid integer"),
        (replaced("number = 2", "number = 1"), "number = 2", "another mix has the same number"),
        (replaced(KEY_OF_2, KEY_OF_1), f'key = "{KEY_OF_2}"', "another mix has the same key"),
        (replaced(KEY_OF_2, "aa"), f'key = "{KEY_OF_2}"', "64 hex digits"),
        (replaced('roles = ["mix", "mailbox"]', 'roles = ["mix", "x"]'), 'roles = ["mix", "mailbox"]', "roles"),
        (replaced("https://authority.example", "authority"), 'url = "https://authority.example"', "http"),
        (replaced('url = "https://authority.example"', ""), "[authority]", "authority.url: Field required"),
        (replaced('url = "https://authority.example"', "uri = 1"), "[authority]", "url"),
        (replaced("[authority]", "[authorithy]"), None, "authority: Field required"),
        (replaced("[network]", "[network]\ncolour = 1"), "name", "colour"),
        (replaced('"mix", "nymserver"', '"mix"'), None, "no mix has the role nymserver"),
    ],
    ids=[f"fault {number}" for number in range(1, 13)],  # the texts hold random keys
)
def test_a_fault_is_reported_with_its_line(text: str, line: str | None, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as caught:
        network.parse(text, "net.toml")
    if line is None:
        assert str(caught.value).startswith("net.toml: ")
    else:
        number = next(i for i, each in enumerate(LINES, 1) if each.startswith(line))
        assert str(caught.value).startswith(f"net.toml, line {number}: ")
    assert "\n" not in str(caught.value)


def test_a_second_nymserver_is_refused_with_its_line_and_what_to_do() -> None:
    text = replaced('roles = ["mix", "mailbox"]', 'roles = ["mix", "nymserver"]')
    text += f'\n[[mix]]\nnumber = 7\nkey = "{"ab" * 32}"\nroles = ["mix", "mailbox"]\n'
    with pytest.raises(FormatError, match=r"mix 5 and mix 6 are both nymservers; .* leave one of them out") as caught:
        network.parse(text, "net.toml")
    line = next(i for i, each in enumerate(text.splitlines(), 1) if "number = 6" in each) + 2
    assert str(caught.value).startswith(f"net.toml, line {line}: ")
    assert "\n" not in str(caught.value)


def test_what_is_not_toml_is_reported_with_its_line() -> None:
    with pytest.raises(FormatError, match=r"net.toml: not TOML: .*line 2"):
        network.parse("[network]\nname\n", "net.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        network.load(path)


def test_nothing_is_read_from_a_network_without_mixes() -> None:
    head = TEXT.split("[[mix]]")[0]
    with pytest.raises(FormatError, match="mix: Field required"):
        network.parse(head)


def test_control_characters_cannot_get_into_a_file() -> None:
    with pytest.raises(ValueError, match="printable"):
        Network.model_validate(NETWORK.model_dump() | {"network": {"name": "a\x7fb"}})


NESTED = """\
top = 1
[server]
"name" = "x"
limits.body = 3
[[peer]]
url = "a"
  [peer.tls]
  file = "b"   # comment
[[ peer ]]
url = "c"
[peer.tls]
file = "d"
list = [
  1,
]
"""


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("top",), 1),
        (("server",), 2),
        (("server", "name"), 3),
        (("server", "limits", "body"), 4),
        (("server", "missing"), 2),
        (("peer", 0, "url"), 6),
        (("peer", 0, "tls", "file"), 8),
        (("peer", 1), 9),
        (("peer", 1, "url"), 10),
        (("peer", 1, "tls", "file"), 12),
        (("peer", 1, "tls", "list", 0), 13),
        (("peer", 1, "tls", "missing"), 11),
        (("nothing",), None),
        ((), None),
    ],
)
def test_values_are_found_in_their_lines(location: tuple[int | str, ...], line: int | None) -> None:
    assert line_of(NESTED, location) == line
