"""TOML that nobody would write: refused before it costs anything, in every file that is TOML."""

import pytest
from anontrace.wire import network, tomllines
from anontrace.wire.tomllines import line_of, read_toml
from anontrace_shared.errors import FormatError

DOTTED = "a." * 50_000 + "a"
HOSTILE = {
    "dotted key": f"{DOTTED} = 1",
    "dotted table": f"[{DOTTED}]",
    "dotted tables": f"[[{DOTTED}]]",
    "quoted parts": '"a".' * 50_000 + "a = 1",
    "spaced": "a . " * 50_000 + "a = 1",
    "in an inline table": f"x = {{{DOTTED} = 1}}",
    "behind a quote in a string of many lines": f'x = {{y = """\n\'""", {DOTTED} = 1}}',
    "behind a quote in a literal of many lines": f"x = {{y = '''\n\"''', {DOTTED} = 1}}",
    "behind an escaped quote": f'x = {{y = "\\"", {DOTTED} = 1}}',
    "behind a string that ends in quotes": f'x = {{y = """a""""", {DOTTED} = 1}}',
    "digits": f"x = {'1' * 200_000}",
    "digits apart": f"x = {'1_' * 100_000}1",
    "hexadecimal": f"x = 0x{'f' * 200_000}",
    "binary": f"x = 0b{'1' * 200_000}",
    "float": f"x = 1.{'1' * 200_000}",
    "exponent": f"x = 1e{'1' * 200_000}",
    "array": f"x = {'[' * 100_000}",
    "inline tables": "x = " + "{a=" * 60_000,
    "long": "#" * (tomllines.MAX_CHARACTERS + 1),
    "escapes without an end": '"' + '\\"' * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_nobody_would_write_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(FormatError, match="not TOML") as error:
        read_toml(text)
    assert str(error.value).isprintable() and len(str(error.value)) < 200


def test_what_people_do_write_is_read() -> None:
    text = (
        "# one. two. three. four. five. six. seven. eight. nine. ten. eleven. twelve. it's . . . . . .\n"
        'ca = """-----BEGIN CERTIFICATE-----\nSubject: a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t\n'
        + "f"
        * 500
        + '\n"quoted" \\" """\n'
        "[a.b]\nurl = 'https://a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r/'\nhalf = 0.5\nbig = 9007199254740991\n"
    )
    found = read_toml("\ufeff" + text)
    assert found["ca"].endswith('"quoted" " ') and found["a"]["b"]["half"] == 0.5
    assert line_of(text, ("a", "b", "half")) == 8


def test_looking_for_a_line_takes_time_in_proportion_to_the_text() -> None:
    for text in (" " * 250_000 + "x", " " * 250_000 + "=", "a " * 125_000, "[" + " " * 250_000, "[" * 250_000):
        assert line_of(text, ("mix", 2, "key")) is None


@pytest.mark.parametrize("name", ["dotted key", "digits", "array"])
def test_a_network_file_says_it_with_its_name(name: str) -> None:
    with pytest.raises(FormatError, match=r"net\.toml: not TOML that anybody would write"):
        network.parse(HOSTILE[name], "net.toml")
