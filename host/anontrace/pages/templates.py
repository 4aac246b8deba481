"""Templates of a package, with those that all pages share. Everything that is put into one is escaped, and what is
missing is an error, not nothing."""

from functools import cache

import jinja2

from . import catalogue


@cache
def environment(package: str, language: str) -> jinja2.Environment:
    """The templates of a package, whose words are translated by its catalogue; the caller may add filters and names."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader(__package__)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(catalogue.translations(package, language), newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {"LANGUAGES": catalogue.NAMES}
    return made
