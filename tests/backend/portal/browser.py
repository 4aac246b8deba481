"""A browser-less client of the portal: follows links, fills in forms as they stand in the pages, keeps cookies."""

import os
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pyotp
from anontrace.backend import config
from anontrace.backend.cli.desk import Desk
from anontrace.backend.staff.rights import Role

from tests.backend import signed_in


@dataclass
class Form:
    """A form of a page, with what its fields hold."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.scripts = 0
        self.ids: list[str] = []
        self.labelled: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert "style" not in given and not any(name.startswith("on") for name in given), tag
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "script":
            assert given.get("src", "").startswith("/static/")
        if tag == "form":
            self.forms.append(Form(given.get("method", "get").upper(), given["action"]))
        elif self.forms and tag in ("input", "select") and "name" in given:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif self.forms and tag == "button" and "name" in given:
            self.forms[-1].buttons.append((given["name"], given.get("value", "")))
        elif tag == "label":
            self.labelled.add(given["for"])


def read(text: str) -> _Reader:
    """A page, whose ids are unique and which has nothing that its policy forbids."""
    reader = _Reader()
    reader.feed(text)
    assert len(reader.ids) == len(set(reader.ids))
    return reader


class Browser:
    """Somebody at the portal of the authority whose folder this is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = config.load(folder).config
        self.origin = found.portal_origin
        self.http = httpx.Client(
            base_url=f"http://{found.portal_listen}", trust_env=False, timeout=60,
            headers={"Host": self.origin.partition("//")[2], "Origin": self.origin},
        )  # fmt: skip
        self.name = ""

    @classmethod
    def of(cls, folder: Path, role: Role) -> "Browser":
        """Somebody with this role, signed in."""
        browser = cls(folder)
        browser.name = f"{role.value}-{os.urandom(4).hex()}"
        session, _, _ = signed_in.make(folder, browser.name, role)
        browser.http.cookies.set("staff", session)
        return browser

    def get(self, place: str) -> httpx.Response:
        return self.http.get(place)

    def page(self, place: str) -> _Reader:
        """A page that is there."""
        answer = self.get(place)
        assert answer.status_code == 200, (place, answer.status_code, answer.text)
        return read(answer.text)

    def guard(self) -> str:
        """What a form of this session brings."""
        return self.page("/me").forms[0].fields["form"]

    def post(self, place: str, fields: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        """A form of the portal's, filled in."""
        return self.http.post(place, data={"form": self.guard(), **(fields or {})}, **more)

    def close(self) -> None:
        self.http.close()


def invited(folder: Path, name: str, role: Role) -> str:
    """An account that waits to be set up; its code."""
    desk = Desk.of(folder)
    return str(desk.ask_as_operator("POST", "accounts", {"name": name, "role": role.value, "site": ""})["invitation"])


def code_of(secret: str) -> str:
    return pyotp.TOTP(secret).now()
