"""How keys, tokens and passwords are generated, and which hash of them is stored.

Keys and tokens have 256 random bits, so a keyed hash suffices, which is fast enough for every
request; passwords are chosen by people and are hashed with Argon2.
"""

import hashlib
import hmac
import secrets
from functools import cache

from argon2 import PasswordHasher

CLINIC_KEY_PREFIX = "dtc_"
CLINICIAN_TOKEN_PREFIX = "dts_"  # noqa: S105 - no secret


def keyed_hash(secret: str, secret_key: str) -> bytes:
    """Return the HMAC-SHA-256 of a secret, 32 bytes; the secret cannot be recovered from it."""
    return hmac.new(secret_key.encode(), secret.encode(), hashlib.sha256).digest()


@cache
def password_hasher() -> PasswordHasher:
    """Return the password hasher (Argon2id), created on first use."""
    return PasswordHasher()


@cache
def dummy_hash() -> str:
    """Return the hash of a random password, to be verified if the username is unknown."""
    return password_hasher().hash(secrets.token_hex())
