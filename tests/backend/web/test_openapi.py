"""What servers say of themselves in OpenAPI: every endpoint of the protocol, and what they really take and answer."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from anontrace.backend.keys import keyfiles
from anontrace.backend.staff.rights import Role
from anontrace.mixnet import surb
from anontrace.mixnet.contact_answer import Said
from anontrace.wire import onetime
from anontrace.wire.content import Content
from anontrace_shared.slots import slot_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator

from tests.backend import signed_in
from tests.backend.answering import Told
from tests.backend.client import Client
from tests.backend.conftest import SLOW, STEADY
from tests.backend.test_services import signed_by

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
JSON = "application/json"
ERROR = "#/components/schemas/ErrorReply"


class Described:
    """The descriptions of all servers, which answers are held against."""

    def __init__(self, client: Client) -> None:
        self.by_place: dict[str, dict[str, Any]] = {}
        for name in (*STEADY, *SLOW):
            url = client.servers.url(name)
            self.by_place[url.removeprefix("http://")] = client.http.get(url + "/openapi.json").json()
            self.by_place[name] = client.servers.for_staff(name).get("/openapi.json").json()
        self.met: set[tuple[str, str, int]] = set()

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
        """Method, path, operation, and the description it stands in."""
        for description in self.by_place.values():
            for path, methods in description["paths"].items():
                for method, operation in methods.items():
                    yield method.upper(), path, operation, description

    def check(self, answer: httpx.Response) -> None:
        """Hold a request that was taken, and its answer, against the description of the server asked."""
        answer.read()
        request, status = answer.request, answer.status_code
        description = self.by_place[request.url.netloc.decode()]
        found = [path for path in description["paths"] if re.fullmatch(_pattern(path), request.url.path)]
        if request.url.path == "/openapi.json" or not found:
            return
        path = min(found, key=lambda each: each.count("{"))
        operation = description["paths"][path].get(request.method.lower())
        if operation is None:
            assert status == 405
            return
        self.met.add((request.method, path, status))
        body = operation.get("requestBody")
        if answer.is_success and body is not None:
            given = request.headers["content-type"]
            assert list(body["content"]) == [given]
            if given == JSON:
                _hold(json.loads(request.content), body["content"][JSON]["schema"], description)
        responses = operation["responses"]
        response = responses.get(str(status), responses.get(f"{status // 100}XX"))
        assert response is not None, f"{request.method} {path} answers {status}, which is not described"
        kinds = list(response.get("content", {}))
        assert kinds == [answer.headers[name].partition(";")[0] for name in answer.headers if name == "content-type"]
        if kinds == [JSON]:
            _hold(answer.json(), response["content"][JSON]["schema"], description)


def guards(path: str) -> set[str]:
    """Who may ask for a path: anybody, whoever is signed in, or the health authority."""
    if path.rpartition("/")[2] in ("login", "invitation", "set-up") and path.count("/") == 3:
        return set()
    if "/staff/" in path:
        return {"staff"}
    return {"authority"} if "/reports" in path or path in ("/v1/sending", "/v1/limit", "/v1/letters") else set()


def _pattern(path: str) -> str:
    return re.sub(r"\{\w+\}", "[^/]+", path)


def _hold(value: Any, schema: dict[str, Any], description: dict[str, Any]) -> None:
    """The value fits the schema, and the schema says something of it."""
    assert schema
    Draft202012Validator({**schema, "components": description["components"]}).validate(value)


@pytest.fixture(scope="module")
def described(client: Client) -> Described:
    return Described(client)


def test_the_descriptions_hold_every_endpoint_of_the_protocol_and_no_other(described: Described) -> None:
    told = set(re.findall(r"(GET|POST|PUT) (/v[12]/[^`\s]*)`", PROTOCOL.read_text()))
    named = {(method, path) for method, path, _, _ in described.operations() if re.match("/v[12]/", path)}
    private = {each for each in named if each[1].startswith("/v1/staff/") or each[1] == "/v1/status"}
    assert {(method, _pattern(path)) for method, path in named - private} == {
        (method, _pattern(path)) for method, path in told
    }


def test_schemas_are_well_formed_examples_fit_and_errors_are_described(described: Described) -> None:
    for method, path, operation, description in described.operations():
        assert operation["description"], path
        for errors in ("4XX", "5XX"):
            assert operation["responses"][errors]["content"][JSON]["schema"] == {"$ref": ERROR}
        assert method == "GET" or operation["requestBody"]["required"]
        taken = operation.get("requestBody", {}).get("content", {}).get(JSON)
        if taken is not None:
            Draft202012Validator.check_schema(taken["schema"])
            _hold(taken["example"], taken["schema"], description)
        guarded = {next(iter(each)) for each in operation.get("security", [])}
        assert guarded == guards(path), path
        for schema in description["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)


def _propose(client: Client) -> None:
    contact_log = client.make_log(slot_of(time.time()), [])
    client.upload(client.permit(contact_log), contact_log)
    report = client.report_with(None, 0)["report"]
    for wanted in ({"act": "approve"}, {"act": "retract", "message": "x" * 59}, {"act": "refuse"}):
        made = client.staff("POST", f"reports/{report}/proposal", wanted)
    for proposal in ("00" * 8, made.json()["id"]):
        client.staff("POST", f"reports/{report}/approval", {"proposal": proposal})


def _keep_accounts(client: Client) -> None:
    """All that administrators and those who sign in ask for, and somebody who may not."""
    folder = client.servers.folder / "authority"
    door = client.servers.for_staff("authority")
    admin = {"Authorization": f"Bearer {signed_in.session(folder, Role.ADMINISTRATOR)}"}
    name = f"ada-{os.urandom(4).hex()}"
    base = "/v1/staff"

    def post(path: str, body: dict[str, Any], headers: dict[str, str] = admin) -> Any:
        return door.post(f"{base}/{path}", json=body, headers=headers).json()

    post("accounts", {"name": name, "role": "decider"}, client.staff_headers())
    for wanted in ({"name": name, "role": "king"}, {"name": name, "role": "decider"}):
        invited = post("accounts", wanted)
    post(f"accounts/{name}/role", {"role": "auditor"})
    invited = post(f"accounts/{name}/invitation", {})
    post("invitation", {"name": name, "invitation": "wrong"})
    begun = post("invitation", {"name": name, "invitation": invited["invitation"]})
    chosen = {"session": begun["session"], "password": signed_in.PASSWORD, "code": pyotp.TOTP(begun["secret"]).now()}
    post("set-up", chosen | {"password": "short"})
    done = post("set-up", chosen)
    wanted = {"name": name, "password": signed_in.PASSWORD, "code": done["recovery"][0]}
    mine = {"Authorization": f"Bearer {post('login', wanted)['session']}"}
    post("login", wanted)
    for path in ("accounts", "settings", "audit", "audit?start=-1"):
        door.get(f"{base}/{path}", headers=admin)
        door.get(f"{base}/{path}", headers=mine)
    post("settings", {"four_eyes": False})
    post("settings", {"four_eyes": True}, mine)
    post("logout", {}, mine)
    post(f"accounts/{name}/withdrawal", {})


def test_what_servers_take_and_answer_is_what_they_describe(client: Client, described: Described) -> None:
    doors = {name: client.servers.for_staff(name) for name in (*STEADY, *SLOW)}
    for http in (client.http, *doors.values()):
        http.event_hooks = {"response": [described.check]}
    try:
        for name, door in doors.items():
            for path in ("/healthz", "/readyz"):
                client.http.get(client.servers.url(name) + path)
            for path in ("/healthz", "/readyz", "/metrics", "/v1/status"):
                door.get(path)
        discovery = client.network.discovery.url
        day = client.directory.content.day
        for path in ("", f"/{day}", "/65535", "/x"):
            answer = client.http.get(f"{discovery}/v2/directory{path}")
            client.http.get(answer.url, headers={"If-None-Match": answer.headers.get("etag", "")})
        known = client.directory.content
        mine = Content({1: known.descriptions[1]}, {1: known.announcements[1]}).encode()
        headers = {"Content-Type": "application/octet-stream"}
        for number in (1, 2):
            client.http.put(f"{discovery}/v2/announcements/{number}", content=mine, headers=headers)

        contact = client.register(slot_of(time.time()))
        contact_log = client.make_log(contact.slot, [contact])
        client.upload(client.permit(contact_log), contact_log)
        report = client.report_with(None, 0)["report"]
        for path in (f"reports/{report}", "reports/0000000000000000", "reports/x"):
            client.staff("GET", path)
        client.approve(report)
        client.told(contact)
        client.staff("POST", f"reports/{report}/decision", {"approve": False})
        client.staff("POST", f"reports/{report}/retraction", {"message": "x" * 59})
        client.staff("POST", f"reports/{report}/retraction", {"message": "False alarm"})
        client.http.post(client.network.authority.url + "/v2/result", content=b"nonsense")
        client.redeem(onetime.new_token(), b"log")
        client.staff("POST", "tokens", {"disease": "much too long"})
        client.staff("POST", "tokens", {"disease": "U07.1", "commitment": "nonsense"})
        issued = client.staff("POST", "tokens", {"disease": "U07.1", "reference": "L 17"}).json()["id"]
        for path in ("tokens", "tokens?day=1", "tokens?day=x", "tokens?reference=l%2017"):
            client.staff("GET", path)
        for token in (issued, issued, "00" * 16, "x"):
            client.staff("POST", f"tokens/{token}/result", {"result": "positive"})
            client.staff("POST", f"tokens/{token}/withdrawal", {})
        client.staff("POST", "tokens/results", {"results": []})
        client.staff("POST", "tokens/results", {"results": [{"id": issued, "result": "maybe"}]})
        for stopped in (True, False, 1):
            client.staff("POST", "sending", {"stopped": stopped})
        _propose(client)
        _keep_accounts(client)
        client.staff("GET", "limit")
        for settings in ({}, {"a_day": -1}):
            client.staff("POST", "limit", settings)

        told = Told.of_a_report(client)
        told.answer(Said.TEST, told.way_back()[0])
        answer = told.wait(1)["answers"][0]["id"]
        for message in ("", "Come"):
            told.write(answer, message)

        nymserver = client.servers.url("nymserver")
        seed = keyfiles.read(client.servers.folder / "authority", keyfiles.SIGNING)
        own = Ed25519PrivateKey.from_private_bytes(seed)
        client.http.get(f"{nymserver}/v1/reports", headers=signed_by(own, "GET", "/v1/reports", b""))
        client.http.get(f"{nymserver}/v1/reports")
        client.http.post(f"{nymserver}/v1/sending", json={"stopped": False})
        for method, body in (("GET", b""), ("POST", b"{}"), ("POST", b'{"growth": 0}')):
            headers = signed_by(own, method, "/v1/limit", body) | {"Content-Type": JSON}
            client.http.request(method, f"{nymserver}/v1/limit", content=body, headers=headers)
        path = f"/v1/reports/{told.report}/answers"
        client.http.get(nymserver + path, headers=signed_by(own, "GET", path, b""))
        way = surb.parse(told.way_back()[0])
        body = json.dumps({"first_mix": way.first_mix, "header": way.header.hex(), "letter": "5a" * 239}).encode()
        for _ in range(2):
            headers = signed_by(own, "POST", "/v1/letters", body) | {"Content-Type": JSON}
            client.http.post(f"{nymserver}/v1/letters", content=body, headers=headers)
        bodies = (("decision", {"approve": False}), ("retraction", {"key": os.urandom(32).hex()}), ("keys", {}))
        for kind, decision in bodies:
            path, body = f"/v1/reports/{report}/{kind}", json.dumps(decision).encode()
            headers = signed_by(own, "POST", path, body) | {"Content-Type": JSON}
            client.http.post(nymserver + path, content=body, headers=headers)
    finally:
        for http in (client.http, *doors.values()):
            http.event_hooks = {}

    operations = {(method, path) for method, path, _, _ in described.operations()}
    asked = {(method, path) for method, path, _ in described.met}
    assert asked == operations
    by_authority = {("POST", f"/v1/reports/{{report}}/{kind}") for kind in ("decision", "retraction")}
    by_authority.add(("POST", "/v1/sending"))  # forwarded
    taken = {(method, path) for method, path, status in described.met if status < 400}
    assert taken == operations - by_authority
