"""Small files as editors save them, and what lies where such a file should be."""

import io
import os
import threading
from pathlib import Path

import pytest
from anontrace.backend import config
from anontrace.backend.errors import ConfigError
from anontrace.backend.keys import keyfiles
from anontrace.backend.operating import joining
from anontrace.companion import files as companion
from anontrace.companion.errors import SetupError
from anontrace.companion.keys import passphrase
from anontrace.foreign import files
from anontrace.wire import network
from anontrace_shared.errors import FormatError

from tests.wire.samples import NETWORK

SAVED = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "carriage returns": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "old line ends": lambda text: text.replace("\n", "\r").encode(),
    "no last line end": lambda text: text.rstrip("\n").encode("utf-8-sig"),
}
OTHERS = {
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, the other way": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "latin-1": lambda text: (text + "\n# \xe4").encode("latin-1"),
}
SERVER = (
    'name = "mix-1"\nroles = ["mix"]\nnumber = 1\nlisten = "127.0.0.1:1"\nurl = "http://127.0.0.1:1"\n'
    'network = "network.toml"\n'
)


def readers(folder: Path) -> dict[str, object]:
    """What reads each small text file, by the file's name."""
    return {
        "network.toml": lambda: network.load(folder / "network.toml"),
        "server.toml": lambda: config.load(folder),
        "entry.toml": lambda: joining.put_together(folder / "made.toml", "n", [folder / "entry.toml"]),
        "passphrase": lambda: passphrase.from_file(folder / "passphrase"),
        keyfiles.SIGNING: lambda: keyfiles.read(folder, keyfiles.SIGNING),
        keyfiles.STAFF: lambda: keyfiles.read(folder, keyfiles.STAFF),
        keyfiles.STORE: lambda: keyfiles.read_login(folder),
    }


TEXTS = {
    "network.toml": NETWORK.to_toml(),
    "server.toml": SERVER,
    "entry.toml": NETWORK.to_toml().partition("\n\n")[2],
    "passphrase": "correct horse battery\nand a note\n",
    keyfiles.SIGNING: "5a" * 32 + "\n",
    keyfiles.STAFF: "5b" * 32 + "\n",
    keyfiles.STORE: "user password\n",
}


def save(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def fill(folder: Path) -> None:
    for name, text in TEXTS.items():
        save(folder, name, text.encode())


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
@pytest.mark.parametrize("name", TEXTS)
def test_however_a_person_saves_a_small_file_it_reads_the_same(tmp_path: Path, name: str, saved) -> None:
    fill(tmp_path)
    read = readers(tmp_path)[name]
    expected = read()
    (tmp_path / "made.toml").unlink(missing_ok=True)
    save(tmp_path, name, saved(TEXTS[name]))
    assert read() == expected


@pytest.mark.parametrize("saved", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", TEXTS)
def test_another_encoding_is_said_in_one_line(tmp_path: Path, name: str, saved) -> None:
    fill(tmp_path)
    path = save(tmp_path, name, saved(TEXTS[name]))
    with pytest.raises((ConfigError, FormatError, SetupError), match="UTF-8") as error:
        readers(tmp_path)[name]()
    assert str(path) in str(error.value) and str(error.value).isprintable()


def test_text_in_utf_16_is_called_that() -> None:
    with pytest.raises(files.NoText, match="UTF-16: save it as UTF-8"):
        files.text("[network]".encode("utf-16"))


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_larger_than_any_is_not_read_to_its_end(tmp_path: Path, name: str) -> None:
    fill(tmp_path)
    path = tmp_path / name
    os.truncate(path, 1 << 40)  # with holes: it takes no room, unless somebody reads it
    with pytest.raises((ConfigError, FormatError, SetupError), match="too large"):
        readers(tmp_path)[name]()


def test_where_a_server_looks_for_a_file_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "server.toml").unlink()
    os.mkfifo(tmp_path / "server.toml")
    with pytest.raises(ConfigError, match="is no regular file"):
        config.load(tmp_path)


def test_what_a_wearer_names_may_be_a_pipe_that_ends(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    writer = threading.Thread(target=path.write_bytes, args=(b"\xef\xbb\xbfcorrect horse\r\n",))
    writer.start()
    assert passphrase.from_file(path) == "correct horse"
    writer.join()


def test_a_pipe_that_brings_nothing_or_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIPE_SECONDS", 0.2)
    os.mkfifo(path := tmp_path / "pipe")
    with pytest.raises(SetupError, match="brings nothing"):
        companion.read(path, "the passphrase file")
    with os.fdopen(os.open(path, os.O_RDWR), "wb") as held:
        held.write(b"half a ")
        held.flush()
        with pytest.raises(SetupError, match="brings nothing"):
            companion.read(path, "the passphrase file")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom"])
def test_what_flows_without_end_is_too_large(path: str) -> None:
    with pytest.raises(SetupError, match=f"{path} is too large to be one"):
        companion.read(Path(path), "the network file")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"the network file .* is no regular file"):
        companion.read(tmp_path, "the network file")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (b"\xef\xbb\xbfAAAA\r\nmore", None),
        (b"AAAA", None),
        ("AAAA\n".encode("utf-16"), "UTF-16"),
        (b"A" * 5000, "too long"),
    ],
)
def test_a_line_on_standard_input_is_read_as_far_as_a_line_can_be(
    monkeypatch: pytest.MonkeyPatch, typed: bytes, said: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed)))
    if said is None:
        assert companion.read_line("the token").strip() == "AAAA"
    else:
        with pytest.raises(SetupError, match=said):
            companion.read_line("the token")
