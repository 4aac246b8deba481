"""What leaves a server beside its answers: logs, numbers, errors. Nothing in it is secret or names anybody."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from anontrace.mixnet.notification import Kind
from anontrace.wire.result import Reason
from anontrace.wire.upload import ChainAuthorization, PermitAuthorization, State
from anontrace_shared.slots import slot_of

from tests.backend.client import Client
from tests.backend.servers import Servers
from tests.patience import HANG_SECONDS, eventually

STEADY = ("discovery", "mix-1", "mix-2", "nymserver", "mailbox", "authority")
CLIENT_IP = "127.0.0.77"


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[tuple[Client, Path]]:
    """A network whose log is kept, and a client with an IP address of its own."""
    servers = Servers(tmp_path / "net", "--delay", "0.01", "--pace", "0.01")
    servers.http = httpx.Client(
        trust_env=False, timeout=HANG_SECONDS, transport=httpx.HTTPTransport(local_address=CLIENT_IP)
    )
    log = tmp_path / "log"
    try:
        servers.start_apart(STEADY, ["mix-3"], log=log)
        servers.ready((*STEADY, "mix-3"))
        yield Client(servers), log
    finally:
        servers.close()


def spellings(secret: bytes) -> list[bytes]:
    encoded = base64.b64encode(secret).rstrip(b"=")
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), encoded, base64.urlsafe_b64encode(secret)]


def test_no_log_and_no_number_holds_a_secret_or_says_who(logged: tuple[Client, Path]) -> None:
    client, log = logged
    servers = client.servers
    slot = slot_of(time.time())
    contact, second = client.register(slot), client.register(slot)
    contact_log = client.make_log(slot, [contact])
    token = client.token()
    permit = client.redeem(token, contact_log).permit
    assert client.redeem("0000-0000-0000-0000", contact_log).reason is Reason.UNKNOWN
    client.upload(PermitAuthorization(permit), contact_log)
    report = client.report_with(None, 0)
    client.approve(report["report"], depth=3)
    told = client.told(contact)
    chain = ChainAuthorization(told.case_id, contact.address, contact.slot, told.chain_token)
    assert client.upload(chain, client.make_log(slot, [second])).state is State.ACCEPTED
    client.approve(client.report_with(told.case_id, 1)["report"])
    client.told(second)
    client.staff("POST", f"reports/{report['report']}/retraction", {"message": "sorry"})
    client.send_swap(client.arm(contact))
    assert client.told(contact, skip=1).kind is Kind.RETRACTION
    # Trouble, which is what is logged.
    servers.kill("mix-3")
    client.send_swap(client.arm(second), client.hops(1, 2, 3, client.nymserver))
    eventually("a dead mix is noticed", lambda: b"does not answer" in log.read_bytes())
    for name in STEADY:
        for path in ("/v1/messages", "/v1/upload", "/v2/look", f"/v1/buckets/{contact.key.hex()}"):
            servers.http.post(servers.url(name) + path, content=contact.address * 19)
    assert servers.terminate(*STEADY) == 0
    servers.start(*STEADY, log=log)

    secrets = [contact_log, permit, told.chain_token, told.case_id, bytes.fromhex(report["report"])]
    for who in (contact, second):
        secrets += [who.address, who.key, who.mailbox, who.blob]
    secrets += [bytes.fromhex(path.read_text()) for path in servers.folder.glob("*/*.key")]
    secrets += [bytes.fromhex(path.read_text()) for path in servers.folder.glob("*/*.token")]
    words = [token.encode(), token.replace("-", "").encode(), CLIENT_IP.encode()]
    words += [spelling for secret in secrets for spelling in spellings(secret)]
    told_by_servers = log.read_bytes()
    for name in STEADY:
        for path in ("/metrics", "/v1/status", "/readyz", "/healthz"):
            told_by_servers += servers.for_staff(name).get(path).content
    assert len(told_by_servers) > 10_000
    assert [word for word in words if word in told_by_servers] == []

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)


def test_prometheus_is_told_what_status_tells(logged: tuple[Client, Path]) -> None:
    client, _ = logged
    client.register(slot_of(time.time()))
    answer = client.servers.for_staff("nymserver").get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    numbers = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if line and not line.startswith("#"))
    assert float(numbers["anontrace_swap_new_total"]) == client.servers.count("nymserver", "swap_new") == 1
    assert float(numbers["anontrace_ready"]) == 1
    assert float(numbers["process_resident_memory_bytes"]) > 1 << 20
