"""The multipart request that creates a case, as OpenAPI describes it."""

from typing import Any

CASE_METADATA_EXAMPLE = {
    "images": [
        {
            "image_type": "dermoscopic",
            "sha256": "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92",
        }
    ],
    "priority": "routine",
    "clinic_reference": "REF-2031",
    "patient_id": "P-88",
    "lesion_id": "L-1",
    "age_approx": 55,
    "sex": "female",
    "anatom_site": "lower extremity",
    "fitzpatrick_skin_type": "III",
    "clin_size_long_diam_mm": 7.5,
    "personal_hx_mm": False,
    "family_hx_mm": True,
    "onset_date": "2025-11-01",
    "history": {"changed": True, "bleeding": False},
}

CASE_UPLOAD_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["metadata", "images"],
                    "additionalProperties": False,
                    "properties": {
                        "metadata": {"$ref": "#/components/schemas/CaseMetadata"},
                        "images": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "JPEG or PNG files, in the order of `metadata.images`.",
                        },
                    },
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            }
        },
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "A random value, such as a UUID: a new one for each case, the same one"
            " when the request is repeated.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "example": "2f6c1f0a-6f0e-4d53-9a3b-0f5a1c1f7f11",
        }
    ],
}
"""For the route's `openapi_extra`: FastAPI does not parse this body, so it cannot describe it."""
