"""Clinicians log in and out."""


def test_a_wrong_password_opens_no_session(api) -> None:
    login = {"username": "nobody", "password": "four random words here"}
    with api.client() as client:
        answer = client.post("/v1/sessions", json=login)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")


def test_a_closed_session_is_not_valid(api, clinician) -> None:
    assert clinician.get("/v1/worklist").status_code == 200
    assert clinician.delete("/v1/sessions/current").status_code == 204
    answer = clinician.get("/v1/worklist")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_session")
    assert answer.headers["www-authenticate"] == "Bearer"
