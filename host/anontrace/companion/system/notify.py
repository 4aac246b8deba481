"""A desktop notification that there is something to read, where there is a desktop.

Names neither disease nor day nor case: others see a screen too. Uses what the system provides; if that fails, nothing
happens, and the wearer learns of it from `anontrace status`.
"""

import contextlib
import os
import platform
import shutil
import subprocess

TITLE = "Anontrace"
TEXT = "There is a message for you. Open a terminal and run: anontrace status"

_WINDOWS = (
    "[Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType=WindowsRuntime] > $null;"
    "$t = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent(1);"
    "$x = $t.GetElementsByTagName('text');"
    f"$x.Item(0).AppendChild($t.CreateTextNode('{TITLE}')) > $null;"
    f"$x.Item(1).AppendChild($t.CreateTextNode('{TEXT}')) > $null;"
    "[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier('Anontrace').Show("
    "[Windows.UI.Notifications.ToastNotification]::new($t))"
)


def command() -> list[str] | None:
    """The command that shows the notification on this system; None without a desktop."""
    system = platform.system()
    if system == "Darwin":
        return ["osascript", "-e", f'display notification "{TEXT}" with title "{TITLE}"']
    if system == "Windows":
        return ["powershell", "-NoProfile", "-Command", _WINDOWS]
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return ["notify-send", "--app-name", TITLE, "--urgency", "critical", TITLE, TEXT]
    return None


def there_is_news() -> None:
    """Have the notification shown; never fails, and waits for nothing."""
    found = command()
    program = shutil.which(found[0]) if found else None
    if found and program:
        with contextlib.suppress(OSError):
            subprocess.Popen(
                [program, *found[1:]],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
