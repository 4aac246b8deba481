"""Programs of Debian packages without installing them: found, verified and downloaded by the machine's own apt.

The mirror and the keyring are those of the machine's apt configuration. All state (lists, archives, an empty package
status) lies in a private folder, so neither root nor a previous `apt-get update` is needed. Installs nothing.
"""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NEWER_RELEASE = "trixie"
_RELEASES = {"buster", "bullseye", "bookworm", "trixie", "forky", "sid"}
_ALIASES = {"oldoldstable", "oldstable", "stable", "testing", "unstable"}
_UNNEEDED_LISTS = ("DEP-11", "Contents-deb", "Contents-all", "CNF", "Translations")
_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")


class AptError(Exception):
    """apt is missing, knows no such package, or failed; the message is one line for the user."""


@dataclass(frozen=True)
class Program:
    """What is wanted of a package: the program in usr/bin, which may be there as `same`, another name of the same file.

    `oldest` is the oldest version of the package worth fetching, as Debian counts, with its epoch; `usable` says
    whether a command starts one that is new enough and works. `architecture`: Debian's name of one that is not the
    machine's own, but that it runs as well.
    """

    name: str
    package: str
    oldest: str
    usable: Callable[[list[str]], bool]
    same: str = ""
    architecture: str = ""


@dataclass(frozen=True)
class Source:
    """Where packages come from: mirror URI, and keyring (path, fingerprint or an inline key; empty: apt's default)."""

    uri: str
    signed_by: str = ""

    def deb822(self, suite: str) -> str:
        """The source as a file for sources.list.d, naming one suite and the component `main`."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {suite}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def _is_release(suite: str) -> bool:
    return suite in _RELEASES | _ALIASES


def parse_one_line(text: str) -> list[Source]:
    """The Debian main archives in the text of a sources.list: `deb [signed-by=FILE] URI SUITE COMPONENT...`."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match is None:
            continue
        options, uri, suite, components = match.groups()
        if not _is_release(suite) or "main" not in components.split():
            continue
        keyring = re.search(r"signed-by=(\S+)", options or "")
        found.append(Source(uri, keyring.group(1) if keyring else ""))
    return found


def parse_deb822(text: str) -> list[Source]:
    """The Debian main archives in the text of a .sources file; continuation lines (inline keys) are kept."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                if name:
                    fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split() or "main" not in fields.get("components", "").split():
            continue
        if any(_is_release(suite) for suite in fields.get("suites", "").split()):
            found += [Source(uri, fields.get("signed-by", "")) for uri in fields.get("uris", "").split()]
    return found


def _run(arguments: list[str], **environment: str) -> str:
    """Run one command and return its output; AptError with its last error line when it fails."""
    process = subprocess.run(
        arguments, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C", **environment}
    )
    if process.returncode:
        errors = [line for line in process.stderr.splitlines() if line.startswith("E:")] or process.stderr.splitlines()
        raise AptError(f"{arguments[0]} failed: {errors[-1] if errors else f'exit code {process.returncode}'}")
    return process.stdout


def available() -> bool:
    """Whether this machine has apt and dpkg at all."""
    return all(shutil.which(tool) for tool in ("apt-get", "apt-cache", "apt-config", "dpkg", "dpkg-deb"))


def is_at_least(version: str, oldest: str) -> bool:
    """Whether a package's version is not older than another, by Debian's rules."""
    return subprocess.run(["dpkg", "--compare-versions", version, "ge", oldest], check=False).returncode == 0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time in this folder of the cache; the others wait and then find the work done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def unpacked_command(root: Path, program: str) -> list[str] | None:
    """The command for a program unpacked into `root`: its own dynamic loader, with its own libraries."""
    libraries = sorted({path.parent for path in root.glob("**/lib*.so.*") if path.is_file()})
    loaders = [path for folder in libraries for path in sorted(folder.glob("ld*.so.*"))]
    binary = root / "usr" / "bin" / program
    if not loaders or not binary.is_file():
        return None
    return [str(loaders[0]), "--library-path", ":".join(map(str, libraries)), str(binary)]


def debian_source() -> Source:
    """The Debian main archive in the machine's apt configuration."""
    output = _run(["apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"])
    places = dict(word.partition("=")[::2] for word in shlex.split(output))
    sources: list[Source] = []
    one_line = Path(places.get("LIST", "/etc/apt/sources.list"))
    if one_line.is_file():
        sources += parse_one_line(one_line.read_text(errors="replace"))
    parts = Path(places.get("PARTS", "/etc/apt/sources.list.d"))
    for path in sorted(parts.iterdir()) if parts.is_dir() else []:
        if path.suffix == ".list":
            sources += parse_one_line(path.read_text(errors="replace"))
        elif path.suffix == ".sources":
            sources += parse_deb822(path.read_text(errors="replace"))
    if not sources:
        raise AptError("the apt configuration names no Debian archive")
    return sources[0]


class Apt:
    """apt with its state in `folder`. Sources: the machine's own, or one `suite` of its Debian archive.

    Package lists: the machine's, or with `fresh` (always with `suite`) private ones, which update() fetches. Packages
    are of the machine's architecture unless another is named.
    """

    def __init__(self, folder: Path, suite: str | None = None, fresh: bool = False, architecture: str = "") -> None:
        self.folder = folder
        self.architecture = architecture or _run(["dpkg", "--print-architecture"]).strip()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        for part in ("cache/archives/partial", "lists/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        # Read after the machine's own configuration, so proxies and credentials hold and hooks can be cleared.
        settings = [
            f'Dir::Cache "{folder}/cache";',
            f'Dir::State::status "{folder}/status";',
            'Acquire::Languages "none";',
            'Acquire::Retries "3";',
            'APT::Sandbox::User "root";',
            f'APT::Architecture "{self.architecture}";',
            "#clear APT::Architectures;",
            f'APT::Architectures {{ "{self.architecture}"; }};',
            *(f"#clear Acquire::IndexTargets::deb::{target};" for target in _UNNEEDED_LISTS),
            "#clear APT::Update;",
            "#clear DPkg;",
        ]
        if suite is not None:
            (folder / "private.sources").write_text(debian_source().deb822(suite))
            settings += [
                f'Dir::Etc::sourcelist "{folder}/private.sources";',
                'Dir::Etc::sourceparts "/dev/null";',
                'Dir::Etc::preferences "/dev/null";',
                'Dir::Etc::preferencesparts "/dev/null";',
            ]
        if suite is not None or fresh:
            settings.append(f'Dir::State::lists "{folder}/lists";')
        self._configuration = folder / "apt.conf"
        self._configuration.write_text("\n".join(settings) + "\n")

    def _apt(self, tool: str, *arguments: str) -> str:
        return _run([tool, "-c", str(self._configuration), *arguments])

    def update(self) -> None:
        """Fetch the package lists; apt verifies their signature."""
        self._apt("apt-get", "update", "-o", "APT::Update::Error-Mode=any")

    def candidate(self, package: str) -> str | None:
        """The version that apt would install, None when it knows none."""
        found = re.search(r"^\s*Candidate:\s*(\S+)", self._apt("apt-cache", "policy", package), re.MULTILINE)
        return None if found is None or found.group(1) == "(none)" else found.group(1)

    def closure(self, package: str) -> list[str]:
        """The package and everything it depends on."""
        flags = [f"--no-{relation}" for relation in _RELATIONS]
        lines = self._apt("apt-cache", "depends", "--recurse", *flags, package).splitlines()
        return sorted({line for line in lines if re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line)})

    def unpack(self, package: str, target: Path) -> None:
        """Download the package with all it depends on, verified by apt, and unpack them into the folder `target`."""
        downloads = self.folder / "downloads"
        shutil.rmtree(downloads, ignore_errors=True)
        downloads.mkdir()
        command = ["env", f"--chdir={downloads}", "apt-get", "-c", str(self._configuration), "download", "-q"]
        _run([*command, *self.closure(package)])
        target.mkdir(parents=True, exist_ok=True)
        for archive in sorted(downloads.glob("*.deb")):
            _run(["dpkg-deb", "-x", str(archive), str(target)])


def provide(program: Program, cache: Path) -> list[str]:
    """The command of a program unpacked into the folder `cache`; fetched first, if need be. AptError if in vain."""
    with locked(cache):
        command = unpacked_command(cache / "root", program.name)
        return command if command and program.usable(command) else _fetch(program, cache)


def _fetch(program: Program, cache: Path) -> list[str]:
    """Unpack the package into `cache`/root: of the machine's own release if new enough, else of a newer one."""
    if not available():
        raise AptError("there is no apt to fetch it with")
    print(f"Fetching {program.name} through apt into the cache ...", file=sys.stderr, flush=True)
    reason = ""
    # The machine's release, by its own package lists and, if those are empty, by fresh ones; then a newer release.
    for suite, fresh in ((None, False), (None, True), (NEWER_RELEASE, True)):
        with tempfile.TemporaryDirectory(dir=cache, prefix="apt-") as work:
            root = Path(work) / "root"
            try:
                manager = Apt(Path(work), suite, fresh, program.architecture)
                if fresh:
                    manager.update()
                candidate = manager.candidate(program.package)
                if candidate is None or not is_at_least(candidate, program.oldest):
                    reason = f"{suite or 'this release'} has {candidate or 'no version of it'}"
                    continue
                manager.unpack(program.package, root)
            except AptError as error:
                reason = str(error)
                continue
            binary = root / "usr" / "bin" / program.name
            if program.same and not binary.exists() and binary.with_name(program.same).exists():
                binary.symlink_to(program.same)
            command = unpacked_command(root, program.name)
            if command is None or not program.usable(command):
                reason = f"the package of version {candidate} does not run here"
                continue
            shutil.rmtree(cache / "root", ignore_errors=True)
            root.rename(cache / "root")
            final = unpacked_command(cache / "root", program.name)
            assert final is not None
            return final
    raise AptError(f"apt could not fetch it ({reason})")
