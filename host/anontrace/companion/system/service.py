"""`anontrace run` as a service of one user: the systemd unit, the launchd agent and the Windows task, as texts.

Starts nothing; `service_managers` installs and starts them.
"""

import os
import plistlib
import re
import subprocess
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anontrace.companion.errors import USAGE, SetupError

UNIT = "anontrace.service"
LABEL = "org.anontrace.companion"
TASK = "Anontrace"
_UNFIT = ("Cc", "Cs", "Zl", "Zp")  # what ends a line somewhere, or is no text: a file name may be any bytes
_SINGLE_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")  # PowerShell takes the typographic ones for the plain one
AGAIN_SECONDS = 60  # after a failure, such as a keyring that is not unlocked yet


@dataclass(frozen=True)
class Service:
    """What the service runs; everything absolute, since it starts in no particular folder."""

    program: Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = (str(self.program), *self.arguments, *self.environment.values())
        if any(unicodedata.category(character) in _UNFIT for text in texts for character in text):
            raise SetupError("a service cannot be given a path with control characters in it; choose another folder")


def unit_path() -> Path:
    """Where systemd looks for a user's own units. A relative XDG_CONFIG_HOME is ignored, as its specification says."""
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".config") / "systemd" / "user" / UNIT


def agent_path() -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def serves(folder: Path) -> bool:
    """Whether a service is installed, by systemd or launchd, that works on this state folder."""
    name = str(folder.absolute())
    try:
        if _quoted(name) in unit_path().read_text(encoding="utf-8"):
            return True
    except (OSError, UnicodeError):
        pass
    try:
        return name in plistlib.loads(agent_path().read_bytes())["ProgramArguments"]
    except (OSError, KeyError, ValueError, plistlib.InvalidFileException):
        return False


def unit(service: Service) -> str:
    """The systemd user unit.

    Its restrictions are those that a user's manager can lay on everywhere: the ones by mount or user namespaces would
    keep it from starting where the kernel allows users none. D-Bus (Bluetooth, keyring, desktop) goes by AF_UNIX.
    """
    command = " ".join(_quoted(each) for each in _startable(str(service.program), service.arguments))
    environment = "".join(f"Environment={_quoted(f'{k}={v}')}\n" for k, v in service.environment.items())
    return f"""[Unit]
Description=Anontrace companion: addresses, mailboxes and badges on schedule
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=:{command}
{environment}Restart=on-failure
RestartSec={AGAIN_SECONDS}
RestartPreventExitStatus={USAGE}
TimeoutStopSec=10
UMask=0077
LimitCORE=0

NoNewPrivileges=true
LockPersonality=true
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_BLUETOOTH
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=default.target
"""


def agent(service: Service) -> str:
    """The launchd agent, a property list."""
    log = str(Path.home() / "Library" / "Logs" / "anontrace.log")
    made = {
        "Label": LABEL,
        "ProgramArguments": [str(service.program), *service.arguments],
        "EnvironmentVariables": dict(service.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": AGAIN_SECONDS,
        "ProcessType": "Background",
        "Umask": 0o077,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    return plistlib.dumps(made, sort_keys=False).decode()


def task(service: Service) -> str:
    """The steps that make a scheduled task on Windows: a PowerShell script that can also be read aloud. SetupError for
    what the task scheduler would not hand on as it is."""
    if re.search("%[^%]+%", " ".join((str(service.program), *service.arguments))):
        raise SetupError("Windows replaces what stands between two % in a task's command; choose another folder")
    environment = "".join(
        f"[Environment]::SetEnvironmentVariable('{name}', {_single(value)}, 'User')\n"
        for name, value in service.environment.items()
    )
    return f"""# 1. Open PowerShell: press the Windows key, type powershell, press Enter.
# 2. Copy all of the following into it, and press Enter. If it says that access is denied, open PowerShell as
#    administrator (right click) and do it again.
{environment}$action = New-ScheduledTaskAction -Execute {_single(str(service.program))} `
  -Argument {_single(subprocess.list2cmdline(service.arguments))}
$trigger = New-ScheduledTaskTrigger -AtLogOn -User "$env:USERDOMAIN\\$env:USERNAME"
$settings = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 255 `
  -RestartInterval (New-TimeSpan -Seconds {AGAIN_SECONDS}) -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
Register-ScheduledTask -TaskName {TASK} -Action $action -Trigger $trigger -Settings $settings -Force
Start-ScheduledTask -TaskName {TASK}
# 3. From now on it starts whenever you log in. Its window may be minimised, not closed.
# To look after it:  Get-ScheduledTaskInfo -TaskName {TASK}
# To remove it:      Stop-ScheduledTask -TaskName {TASK}; Unregister-ScheduledTask -TaskName {TASK} -Confirm:$false
"""


def _startable(program: str, arguments: Sequence[str]) -> tuple[str, ...]:
    """A command of a unit: systemd takes a program's path with quotes or backslashes in it only as an argument."""
    if set(program) & set("'\"\\"):
        return ("/bin/sh", "-c", 'exec "$0" "$@"', program, *arguments)
    return (program, *arguments)


def _quoted(text: str) -> str:
    """One word of a unit file; variables are not replaced in it (the ':' of ExecStart), specifiers would be."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _single(text: str) -> str:
    """A PowerShell string in which nothing is replaced."""
    return "'" + _SINGLE_QUOTES.sub(lambda quote: quote[0] * 2, text) + "'"
