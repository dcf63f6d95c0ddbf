"""How keys, tokens and passwords are made and kept.

Keys and tokens carry 256 random bits, so a keyed hash of them suffices and costs a request
nothing; passwords are chosen by people and go through argon2.
"""

import hashlib
import hmac
import secrets
from functools import cache

from argon2 import PasswordHasher

from dermtriage.core.errors import RequestRejected

CLINIC_KEY = "dtc_"


CLINICIAN_TOKEN = "dts_"  # noqa: S105 - a prefix that tells the two apart, no secret


def keyed_hash(secret: str, secret_key: str) -> bytes:
    """Return 32 bytes that stand for a secret; nobody can tell it from them (HMAC-SHA-256)."""
    return hmac.new(secret_key.encode(), secret.encode(), hashlib.sha256).digest()


@cache
def password_hasher() -> PasswordHasher:
    """Return the hasher of passwords (argon2id); it is made when first needed."""
    return PasswordHasher()


@cache
def hash_of_nobody() -> str:
    """Return the hash of a password that nobody has, to be checked in place of a missing one."""
    return password_hasher().hash(secrets.token_hex())


def checked_name(name: str, field: str, longest: int) -> str:
    """Return a name without space around it.

    Raises
    ------
    RequestRejected
        If it is empty, too long, or holds control characters.
    """
    name = name.strip()
    if not 0 < len(name) <= longest or not name.isprintable():
        raise RequestRejected(
            f"This name is empty, longer than {longest} characters, or holds control characters.",
            field=field,
            remedy="Choose another.",
        )
    return name
