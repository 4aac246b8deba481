"""What locks the secrets on disk: a passphrase, the system's keyring, or a file; and how one becomes another."""

import codecs
import sys

import pytest
from anontrace.companion.errors import FAILED, USAGE
from anontrace.companion.keys import keyfile
from anontrace.companion.store import state

from tests.companion import loaded
from tests.companion.commands.test_cli import NETWORK
from tests.companion.terminal import talk
from tests.encodings import READ, SAID

WORDS = "three small green words"


@pytest.fixture(autouse=True)
def cheap(request, cli):
    """Argon2id at its cheapest where it is about the rest."""
    if "on_a_terminal" not in request.node.name:
        cli.environment[loaded.CHEAP] = "1"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.toml"
    path.write_text(NETWORK)
    return str(path)


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(WORDS + "\n")
    return str(path)


@pytest.fixture
def keyring(cli, tmp_path):
    """A keyring for the CLI."""
    folder = tmp_path / "keyring"
    folder.mkdir()
    cli.environment |= {
        "PYTHON_KEYRING_BACKEND": "tests.companion.keys.folder_keyring.FolderKeyring",
        "FOLDER_KEYRING": str(folder),
    }
    return folder


def make_badge(cli, tmp_path):
    """A secret in the state folder; the owner key that the badge got."""
    flash = tmp_path / "flash"
    flash.mkdir(exist_ok=True)
    cli.do("badge", "provision", "--usb", str(flash), "--usb-only")
    return (flash / "owner.key").read_bytes()


def test_without_a_terminal_and_without_a_word_the_key_lies_in_a_file(cli, file):
    assert cli.do("init", file)["protection"] == "file"
    assert len((cli.folder / keyfile.FILE).read_bytes()) == keyfile.KEY_SIZE


def test_on_a_terminal_a_passphrase_is_asked_for_and_then_needed(cli, file, tmp_path):
    code, screen = talk(cli, ["init", file], [("Passphrase for your secrets", WORDS), ("Repeat", WORDS)])
    assert code == 0, screen
    assert WORDS not in screen
    assert "locked with your passphrase" in screen
    assert WORDS.encode() not in (cli.folder / keyfile.FILE).read_bytes()
    code, screen = talk(cli, ["badge", "list"], [("Passphrase", WORDS)])
    assert (code, "No badge yet" in screen) == (0, True)
    code, screen = talk(cli, ["badge", "list"], [("Passphrase", "a slip"), ("That is not it. Passphrase", WORDS)])
    assert (code, "No badge yet" in screen) == (0, True)
    code, screen = talk(cli, ["badge", "list"], [("Passphrase", "something else")] * 3)
    assert (code, "the passphrase is wrong" in screen) == (USAGE, True)
    result = cli.run("badge", "list")
    assert (result.code, "ANONTRACE_PASSPHRASE_FILE" in result.err) == (USAGE, True)


def test_an_empty_answer_means_a_file(cli, file):
    code, screen = talk(cli, ["init", file], [("Passphrase for your secrets", "")])
    assert code == 0, screen
    assert keyfile.protection(cli.folder) == "file"


def test_a_short_passphrase_is_asked_for_again(cli, file):
    answers = [("Passphrase for your secrets", "short"), ("Passphrase for", WORDS), ("Repeat", WORDS)]
    code, screen = talk(cli, ["init", file], answers)
    assert code == 0, screen


def test_a_service_names_a_file_with_the_passphrase(cli, file, words, tmp_path):
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = words
    assert cli.do("init", file)["protection"] == "passphrase"
    key = make_badge(cli, tmp_path)
    assert make_badge(cli, tmp_path) == key
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = str(tmp_path / "none")
    result = cli.run("status")
    assert (result.code, "cannot be read" in result.err) == (USAGE, True)


def test_the_protection_is_changed_at_will_and_the_secrets_stay(cli, file, words, keyring, tmp_path):
    cli.do("init", file)
    key = make_badge(cli, tmp_path)
    plain = (cli.folder / keyfile.FILE).read_bytes()

    assert cli.do("passphrase", "--passphrase-file", words) == {"protection": "passphrase"}
    assert plain not in (cli.folder / keyfile.FILE).read_bytes()
    assert cli.run("status").code == USAGE

    other = tmp_path / "other"
    other.write_text("four other wooden words")
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = words
    cli.do("passphrase", "--passphrase-file", str(other))
    result = cli.run("status")
    assert (result.code, "the passphrase is wrong" in result.err) == (USAGE, True)

    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = str(other)
    assert cli.do("passphrase", "--protect", "keyring") == {"protection": "keyring"}
    del cli.environment["ANONTRACE_PASSPHRASE_FILE"]
    (entry,) = keyring.iterdir()
    assert make_badge(cli, tmp_path) == key

    assert cli.do("passphrase", "--protect", "file") == {"protection": "file"}
    assert not entry.exists()
    assert (cli.folder / keyfile.FILE).read_bytes() == plain
    assert make_badge(cli, tmp_path) == key
    assert not list(cli.folder.glob("*.new"))


def test_the_passphrase_is_changed_on_a_terminal(cli, file):
    cli.do("init", file)
    assert talk(cli, ["passphrase"], [("New passphrase", WORDS), ("Repeat", WORDS)])[0] == 0
    answers = [("Passphrase", WORDS), ("New passphrase", "some newer words"), ("Repeat", "some newer words")]
    assert talk(cli, ["passphrase"], answers)[0] == 0
    assert talk(cli, ["status"], [("Passphrase", "some newer words")])[0] == 0


def test_a_keyring_from_the_start(cli, file, keyring, tmp_path):
    assert cli.do("init", file, "--protect", "keyring")["protection"] == "keyring"
    key = make_badge(cli, tmp_path)
    assert make_badge(cli, tmp_path) == key
    for entry in keyring.iterdir():
        entry.unlink()
    result = cli.run("status")
    assert (result.code, "does not hold the key" in result.err) == (FAILED, True)


def test_init_again_does_not_pretend_to_change_what_locks_the_secrets(cli, file):
    cli.do("init", file, "--protect", "file")
    assert cli.do("init", file, "--protect", "file")["protection"] == "file"
    result = cli.run("init", file, "--protect", "passphrase")
    assert (result.code, "anontrace passphrase --protect passphrase" in result.err) == (USAGE, True)


def test_no_keyring_on_this_computer_is_said_in_a_sentence(cli, file):
    cli.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    result = cli.run("init", file, "--protect", "keyring")
    assert (result.code, "--protect passphrase" in result.err) == (USAGE, True)
    assert not (cli.folder / keyfile.FILE).exists()


def test_without_the_library_a_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(Exception, match=r"pip install 'anontrace\[keyring\]'"):
        state.create(tmp_path / "state", keyfile.KEYRING)


@pytest.mark.parametrize(
    ("field", "value"),
    [("memory", 2**40), ("operations", 2**31), ("salt", "00"), ("wrapped", "zz"), ("version", 2), ("protection", "")],
)
def test_a_damaged_key_file_is_said_in_a_sentence(cli, file, words, field, value):
    import json

    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = words
    cli.do("init", file)
    path = cli.folder / keyfile.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    result = cli.run("status")
    assert result.code == FAILED
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize("how", (READ | SAID).values(), ids=READ | SAID)
def test_a_protected_key_file_is_read_in_whatever_encoding_it_is_saved(cli, file, words, how):
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = words
    cli.do("init", file)
    path = cli.folder / keyfile.FILE
    path.write_bytes(how(path.read_text()))
    cli.do("status")


@pytest.mark.parametrize(
    "saved",
    [
        lambda key: key + b"\n",
        lambda key: key + b"\r\n",
        lambda key: codecs.BOM_UTF8 + key,
        lambda key: key.decode("latin-1").encode("utf-16"),
        lambda key: key[:-1],
        lambda key: b"",
    ],
)
def test_a_bare_key_that_was_saved_as_text_is_named_with_what_is_wrong(cli, file, saved):
    cli.do("init", file)
    path = cli.folder / keyfile.FILE
    key = path.read_bytes()
    path.write_bytes(saved(key))
    result = cli.run("status")
    assert (result.code, len(result.err.splitlines())) == (FAILED, 1)
    assert f"the vault key {path} is damaged: it has {len(saved(key))} bytes" in result.err
    path.write_bytes(key)
    cli.do("status")


@pytest.mark.parametrize("how", READ.values(), ids=READ)
def test_a_passphrase_file_is_read_or_named_with_what_does_not_show(cli, file, words, tmp_path, how):
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = words
    cli.do("init", file)
    saved = tmp_path / "saved"
    saved.write_bytes(how(WORDS + "\n"))
    cli.environment["ANONTRACE_PASSPHRASE_FILE"] = str(saved)
    result = cli.run("status")
    if b" \t " not in saved.read_bytes():
        assert result.code == 0
        return
    wrong = f"the passphrase is wrong: it is the first line of {saved}, which begins or ends with a space"
    assert (result.code, result.err) == (USAGE, f"anontrace: {wrong}\n")
    for encoded in SAID.values():
        saved.write_bytes(encoded(WORDS + "\n"))
        result = cli.run("status")
        assert (result.code, len(result.err.splitlines())) == (USAGE, 1)
        assert str(saved) in result.err and "UTF-" in result.err
