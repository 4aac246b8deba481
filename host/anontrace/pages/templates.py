"""Templates of a package, with those that all pages share. Everything that is put into one is escaped, and what is
missing is an error, not nothing."""

from collections.abc import Callable
from gettext import NullTranslations
from typing import Any

import jinja2

from . import catalogue


def environment(
    package: str, translations: NullTranslations, finalize: Callable[[Any], Any] | None = None
) -> jinja2.Environment:
    """The templates of a package, in one language; the caller may add filters and names. `finalize`: what is done to
    everything that is put in."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader(__package__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {"LANGUAGES": catalogue.NAMES}
    return made
