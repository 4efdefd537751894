"""Who reaches the page: visitors with the token, or this machine alone.

pytest test/unit/dial_ros/operator/test_token_gate.py
"""

import asyncio
import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dial_ros.operator.token_gate import COOKIE, LoopbackGate, TokenGate


def answered(query=b"", cookie=b"", kind="http"):
    """(Status or close code, headers, whether the page was reached) of a visitor at the token's gate."""
    headers = [(b"cookie", cookie)] if cookie else []
    return through(lambda app: TokenGate(app, token="secret-token"), kind, headers, query)


def through(gate, kind="http", headers=(), query=b""):
    sent, inside = [], []

    async def app(scope, receive, send):
        inside.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "path": "/", "query_string": query, "headers": list(headers)}
    asyncio.run(gate(app)(scope, receive, send))
    return sent[0].get("status", sent[0].get("code")), dict(sent[0].get("headers", [])), bool(inside)


def test_without_the_token_neither_page_nor_websocket_opens():
    assert answered()[0] == 401
    assert answered(query=b"token=wrong")[0] == 401
    assert answered(kind="websocket") == (1008, {}, False)
    assert answered(cookie=COOKIE.encode() + b"=wrong")[0] == 401


def test_the_token_is_asked_for_once_and_then_remembered():
    status, headers, inside = answered(query=b"token=secret-token")
    assert (status, inside) == (200, True)
    assert b"HttpOnly" in headers[b"set-cookie"]
    kept = headers[b"set-cookie"].split(b";")[0]
    assert b"secret-token" not in kept
    assert answered(cookie=kept)[0] == 200
    assert answered(cookie=kept, kind="websocket")[2]
    assert answered(cookie=f"{COOKIE}=secret-token".encode())[0] == 401


KEPT = f"{COOKIE}={hashlib.sha256(b'secret-token').hexdigest()}".encode()
OTHERS = st.binary(max_size=40).map(lambda raw: raw.replace(b";", b""))  # whatever else the programs of a host leave in a browser


@given(before=st.lists(OTHERS), after=st.lists(OTHERS), space=st.sampled_from([b"", b" "]))
@example(before=[b'other={"a":1}', b"a@b:c=1", b"prefs=a b", b"x[1]=2", b"flag"], after=[], space=b" ")
@settings(max_examples=60, deadline=None)
def test_the_token_is_remembered_whatever_cookies_other_programs_of_the_host_have_set(before, after, space):
    assert answered(cookie=(b";" + space).join([*before, KEPT, *after]))[0] == 200
    assert answered(cookie=(b";" + space).join([*before, *after]) or b" ")[0] == 401
    assert answered(cookie=(b";" + space).join([*before, KEPT + b"0", b"x" + KEPT, *after]))[0] == 401


def test_the_token_is_found_in_any_of_several_cookie_headers():
    assert through(lambda app: TokenGate(app, token="secret-token"), "http", [(b"cookie", KEPT), (b"cookie", b"other=1")])[0] == 200


@pytest.mark.parametrize("host", [b"127.0.0.1:8080", b"localhost:8080", b"[::1]:8080", b"localhost"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_this_machine_is_let_in_by_its_own_names(host, kind):
    assert through(LoopbackGate, kind, [(b"host", host), (b"origin", b"http://" + host)])[2]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"evil.example:8080")],
        [(b"host", b"127.0.0.1:8080"), (b"origin", b"https://evil.example")],
        [(b"host", b"127.0.0.1:8080"), (b"origin", b"null")],
        [(b"host", b"127.0.0.1.evil.example")],
        [],
    ],
)
def test_another_site_does_not_reach_the_robot_through_a_browser_on_this_machine(headers):
    assert through(LoopbackGate, "http", headers)[0] == 403
    assert through(LoopbackGate, "websocket", headers) == (1008, {}, False)
