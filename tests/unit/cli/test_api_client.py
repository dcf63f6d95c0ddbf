"""Responses of the API become results and errors."""

from collections.abc import Callable

import httpx
import pytest

from dermtriage.core.errors import ConfigurationError, NotAuthenticated, Unavailable
from dermtriage_cli.api_client import Refused, call, login, open_client, worklist


def client(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://triage.test", transport=httpx.MockTransport(handler))


@pytest.mark.parametrize("server", ["triage.example", "ftp://triage.example", "http://", ""])
def test_a_malformed_url_is_refused(server: str) -> None:
    with pytest.raises(ConfigurationError, match="not the URL of a server"):
        open_client(server)


def test_a_key_with_a_line_break_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Copy the key again"):
        open_client("http://triage.example", "dtc_a\nX-Other: b")


def test_a_token_is_sent_as_a_bearer_token() -> None:
    with open_client("https://triage.example", "dtc_a_b ") as http:
        assert http.headers["Authorization"] == "Bearer dtc_a_b"


@pytest.mark.parametrize("body", ["<html>", "[]", '{"detail": "x"}'])
def test_a_response_without_a_problem_document_shows_its_status(body: str) -> None:
    with (
        client(lambda _: httpx.Response(404, text=body)) as http,
        pytest.raises(Refused, match="answered 404 Not Found"),
    ):
        call(http, "GET", "/v1/worklist")


def test_a_server_out_of_reach_is_unavailable() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with client(refuse) as http, pytest.raises(Unavailable, match=r"triage\.test"):
        call(http, "GET", "/v1/worklist")


def test_a_wrong_password_is_not_authenticated() -> None:
    answer = {"detail": "Username or password is wrong.", "code": "invalid_login"}
    with (
        client(lambda _: httpx.Response(401, json=answer)) as http,
        pytest.raises(NotAuthenticated, match="password is wrong"),
    ):
        login(http, "m.okafor", "wrong")


def test_the_worklist_is_read_to_its_last_page() -> None:
    requested: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(request.url.params)
        first = "cursor" not in request.url.params
        page = {"items": [1, 2], "next_cursor": "more"} if first else {"items": [3]}
        return httpx.Response(200, json={"next_cursor": None, **page})

    with client(answer) as http:
        assert list(worklist(http, lane=0)) == [1, 2, 3]
    assert [params.get("cursor") for params in requested] == [None, "more"]
    assert all(params["lane"] == "0" for params in requested)
