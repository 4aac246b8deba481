"""The portal in a real browser, from the invitation to the notification, at a desk and on a narrow screen, in light and
dark; each page held against the rules for accessible ones. Pictures: build/portal/."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anontrace.backend.staff.rights import Role
from anontrace.mixnet.contact_answer import Said
from anontrace.wire import permit
from anontrace_shared.slots import slot_of

from tests.backend.answering import Told
from tests.backend.client import Client
from tests.backend.portal.browser import Browser, code_of, invited
from tests.backend.signed_in import PASSWORD
from tests.patience import eventually
from tools import chromium

PICTURES = Path(__file__).parents[3] / "build" / "portal"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
NARROW, WIDE = {"width": 320, "height": 640}, {"width": 1100, "height": 800}
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    found = chromium.find()
    if found is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*ARGUMENTS])
        yield browser
        browser.close()


class Seat:
    """Somebody before a browser, who looks at each page closely."""

    def __init__(self, chrome: Any, origin: str, language: str = "en", scheme: str = "light") -> None:
        self._context = chrome.new_context(
            base_url=origin, viewport=WIDE, locale=language, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page = self._context.new_page()
        self.page.set_default_timeout(30_000)
        self.faults: list[str] = []
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda asked: self._check(asked.url, origin))

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:")):
            self.faults.append(f"asked for {url}")

    def look(self, name: str) -> None:
        """A picture of the page, which has to be readable for everybody, on a narrow screen too."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page, options={"runOnly": RULES, "resultTypes": ["violations"]})
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
        self.page.set_viewport_size(NARROW)
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"], f"{name} is {width} pixels wide"
        self.page.screenshot(path=PICTURES / f"{name}-narrow.png", full_page=True)
        self.page.set_viewport_size(WIDE)

    def close(self) -> None:
        assert self.faults == []
        self._context.close()


def signed_in_seat(chrome: Any, folder: Path, role: Role, **more: str) -> Seat:
    """Somebody with this role who has come in by another way."""
    browser = Browser.of(folder, role)
    seat = Seat(chrome, browser.origin, **more)
    cookie = {"name": "staff", "value": browser.http.cookies["staff"], "url": browser.origin}
    seat.page.context.add_cookies([cookie])
    browser.close()
    return seat


def test_a_decider_is_invited_signs_in_with_a_passkey_and_has_contacts_told(client: Client, chrome: Any) -> None:
    folder = client.servers.folder / "authority"
    name = f"dora-{os.urandom(4).hex()}"
    code = invited(folder, name, Role.DECIDER)
    seat = Seat(chrome, Browser(folder).origin)
    page = seat.page
    page.goto("/login")
    seat.look("login")
    page.click("text=I have an invitation")
    seat.look("invitation")
    page.fill("#name", name)
    page.fill("#invitation", code)
    page.click("text=Go on")
    seat.look("set-up")
    page.fill("#code", code_of(page.inner_text("p code")))
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button:has-text('Set up')")
    seat.look("recovery")
    assert page.locator(".codes li").count() == 10

    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    virtual = {"protocol": "ctap2", "transport": "internal", "hasUserVerification": True, "isUserVerified": True}
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": {**virtual, "automaticPresenceSimulation": True}})
    page.goto("/me/passkey")
    seat.look("passkey")
    page.fill("#name", "on my ring")
    page.click("text=Make it")
    page.wait_for_url("**/me")
    assert "on my ring" in page.inner_text("main")
    seat.look("me")
    page.click("text=Sign out")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("text=Go on")
    seat.look("second")
    page.click("text=With a passkey")
    page.wait_for_url("**/cases")

    contacts = client.register_all(slot_of(time.time()), 3)
    contact_log = client.make_log(contacts[0].slot, contacts)
    permitted = client.permit(contact_log)
    client.upload(permitted, contact_log)
    report = client.report_with(permit.case_of(permitted.permit), 0)["report"]
    page.reload()
    seat.look("cases")
    page.click(f"text={report}")
    page.fill("#minutes", "1")
    page.fill("#attenuation", "")
    page.click("text=Show what it would do")
    assert "3 of 3 exposures" in page.inner_text(".effect")
    seat.look("case")
    page.fill("#message", "Call 555 0100")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first button after the words: approve
    eventually("it is approved", lambda: "approved" in page.inner_text("main"))
    told = client.told(contacts[0])
    assert told.message == "Call 555 0100"
    contact = Told(client, report, told)
    contact.answer(Said.CALL | Said.NEARNESS, contact.way_back()[0], number="+4930123456", nearness=(2, 0, 1, 0))
    eventually("an answer is there", lambda: contact.answers()["answers"])
    page.reload()
    seat.look("case-decided")
    page.click("text=Read them")
    seat.look("answers")
    assert "+4930123456" in page.inner_text("main")
    page.fill("input[name=message]", "Come at nine")
    page.click("button:has-text('Send')")
    eventually("it is written", lambda: "Written back" in page.inner_text("main"))
    page.goto("/limit")
    seat.look("limit")
    seat.close()


def test_the_pages_of_the_other_roles(client: Client, chrome: Any) -> None:
    folder = client.servers.folder / "authority"
    site = signed_in_seat(chrome, folder, Role.TEST_SITE, language="de")
    site.page.goto("/tokens")
    site.page.fill("#reference", "Probe 17")
    site.page.click("text=Code ausstellen")
    assert len(site.page.inner_text(".token")) == 19
    site.look("slip")
    site.page.emulate_media(media="print")
    site.page.screenshot(path=PICTURES / "slip-printed.png", full_page=True)
    site.page.emulate_media(media="screen")
    site.page.goto("/tokens")
    site.look("tokens")
    site.page.click("tbody a >> nth=0")
    site.look("token")
    site.close()
    admin = signed_in_seat(chrome, folder, Role.ADMINISTRATOR, scheme="dark")
    for place in ("accounts", "settings"):
        admin.page.goto(f"/{place}")
        admin.look(place)
    admin.page.goto("/accounts")
    admin.page.fill("#name", f"bob-{os.urandom(4).hex()}")
    admin.page.click("text=Make it")
    admin.look("invited")
    admin.close()
    auditor = signed_in_seat(chrome, folder, Role.AUDITOR)
    for place in ("audit", "numbers"):
        auditor.page.goto(f"/{place}")
        auditor.look(place)
    auditor.close()
