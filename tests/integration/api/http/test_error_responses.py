"""Addresses and methods that do not exist are answered with problem documents."""


def test_unknown_addresses_and_methods(api, clinic) -> None:
    unknown = clinic.get("/v1/nowhere")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    wrong = clinic.patch("/v1/cases")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"]
    # Without authentication a client does not learn which addresses exist.
    with api.client() as client:
        assert client.get("/v1/nowhere").status_code == 401
