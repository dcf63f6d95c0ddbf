"""The reference page."""

import re


def test_the_page_loads_everything_from_this_server(api) -> None:
    with api.client() as client:
        root = client.get("/")
        assert root.headers["location"] == "docs"
        page = client.get("/docs").text
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert len(loaded) == 4
        for address in loaded:
            if not address.startswith("data:"):
                assert client.get("/" + address).status_code == 200
        assert "<script>" not in page
        assert client.get("/openapi.json").json()["info"]["title"] == "dermtriage"
