"""`anontrace open`: the companion in the browser."""

import contextlib
import os
import platform
import shutil
import tempfile
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import click

from anontrace.companion.context import Context, pass_context
from anontrace.companion.output import say as show

_LEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}"><title>Anontrace</title>
<p><a href="{url}">Anontrace</a></p></html>
"""


@click.command("open", short_help="See and do all this in your browser.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@pass_context
def open(context: Context, no_browser: bool) -> None:
    """Show the companion in your browser, until you close the page.

    The page is served on this computer alone, at an address that works once, for one browser. What goes on when you
    close it is finished first. `anontrace run` may be going meanwhile, or not.

    \b
    Examples:
      anontrace open
      anontrace open --no-browser
    """
    from anontrace.companion.store import making
    from anontrace.companion.system import stopping

    try:
        import python_multipart  # noqa: F401 - starlette asks for it when the first form comes

        from anontrace.companion.page import serving
        from anontrace.companion.page.app import Site
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    if making.traces(context.folder):
        with context.reading():  # a passphrase is asked for here, and what is wrong shows here
            pass
    sockets, origin = serving.bound()
    site = Site(context, origin)

    def ready() -> None:
        address = site.address
        found = None if no_browser else _lead(stack, address)
        document = {"address": address, "browser": found}
        lines = [f"Your page, once, for one browser: {address}"]
        if not no_browser and not found:
            lines.insert(0, "There is no browser here that could be opened; open the page by hand.")
        lines.append("It ends when you close the page. Ctrl+C ends it too, and breaks off what goes on.")
        context.output.show(document, lambda: lines)

    def is_over() -> bool:
        if site.door.is_used:
            stack.close()  # what has led there is of no more use
        return site.is_over

    with contextlib.ExitStack() as stack, stopping.soon() as asked:
        try:
            serving.serve(site.app, sockets, is_over, ready)
        except KeyboardInterrupt:
            if not asked.terminated:
                raise
    if not context.output.as_json:
        show("The page is closed.")


def _missing(error: ModuleNotFoundError) -> Exception:
    from anontrace.companion.errors import SetupError

    missing = (error.name or "").partition(".")[0]
    return SetupError(f"the page needs more than is installed ({missing}); run: pip install 'anontrace[page]'")


def _lead(stack: contextlib.ExitStack, address: str) -> bool:
    """Open the browser at a file that leads to the address: arguments of a program show to every user of a computer,
    and what is in a file that is one's own does not."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    if isinstance(found, webbrowser.GenericBrowser) and not isinstance(found, webbrowser.BackgroundBrowser):
        return False  # one in the terminal, which would take it
    path = stack.enter_context(_leading(address))
    with contextlib.suppress(OSError, webbrowser.Error):
        return bool(found.open(path.as_uri()))
    return False


@contextlib.contextmanager
def _leading(address: str) -> Iterator[Path]:
    # On Linux a browser may be a snap, which sees neither /tmp nor what is hidden: so it is in the wearer's home.
    home = Path.home() if platform.system() == "Linux" and os.access(Path.home(), os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="anontrace-open-", dir=home))  # 0700
    try:
        path = folder / "open.html"
        path.write_text(_LEAD.format(url=address), encoding="utf-8")
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
