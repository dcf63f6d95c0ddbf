"""One photograph from its upload to the outcome that the clinic reads."""

import io

from PIL import Image
from tests.acceptance.conftest import System, wait_for
from tests.acceptance.upload import upload
from tests.photographs import jpeg


def _with_camera_metadata(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    exif = image.getexif()
    exif[0x010F] = "Camera of somebody"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_a_photograph_is_scored_decided_and_its_outcome_read_by_the_clinic(system: System) -> None:
    system.start_api()
    system.start_worker()
    system.start_upkeep()
    clinic = system.client()
    routine = upload(clinic, [jpeg(1)], clinic_reference="R-1", age_approx=55, sex="female")
    stat = upload(clinic, [_with_camera_metadata(jpeg(2))], priority="stat", clinic_reference="R-2")
    wait_for(lambda: system.count_scored() == 2, "both scores")

    reader = system.clinician()
    items = reader.get("/v1/worklist").json()["items"]
    assert [item["case_id"] for item in items] == [stat["case_id"], routine["case_id"]]
    assert items[0]["lane"] == 0

    claim = reader.post("/v1/worklist/claims").json()["claim"]
    case_url = f"/v1/cases/{stat['case_id']}"
    case = reader.get(case_url).json()
    assert case["review"]["images"][0]["assessment"]["release"] == "tiny"
    rendition = reader.get(f"/v1/images/{stat['images'][0]['image_id']}/rendition")
    assert rendition.headers["content-type"] == "image/jpeg"
    assert b"Camera of somebody" not in rendition.content

    before = clinic.get(case_url)
    assert before.json()["outcome"] is None
    assert "review" not in before.json() or before.json()["review"] is None
    again = clinic.get(case_url, headers={"If-None-Match": before.headers["etag"]})
    assert again.status_code == 304

    decided = reader.post(
        f"{case_url}/decisions",
        json={
            "token": claim["token"],
            "triage_version": case["review"]["triage_version"],
            "outcome": "refer_urgent",
            "advice": "Please send the patient within two weeks.",
        },
    )
    assert decided.status_code == 201, decided.text
    after = clinic.get(case_url, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["state"] == "decided"
    assert after.json()["outcome"]["outcome"] == "refer_urgent"
    assert after.json()["outcome"]["advice"].startswith("Please send")

    remaining = reader.get("/v1/worklist").json()["items"]
    assert [item["case_id"] for item in remaining] == [routine["case_id"]]
    changes = clinic.get("/v1/cases").json()["items"]
    assert {change["case_id"] for change in changes} == {stat["case_id"], routine["case_id"]}
