"""API keys: what they are made of, and whom one belongs to. The store has their hashes only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from sweepyard.tracking.records import ApiKey, Role


def new_key(name: str, role: Role, now: float, *, expires_at: float | None = None) -> tuple[str, ApiKey]:
    """A key as its holder shows it, of 256 random bits, and what the store keeps of it."""
    shown = f"sy_{secrets.token_urlsafe(32)}"
    return shown, ApiKey(name=name, role=role, digest=digest_of(shown), created_at=now, expires_at=expires_at)


def digest_of(shown: str) -> str:
    """Plain SHA-256: nobody guesses 256 random bits, so there is nothing to slow down."""
    return hashlib.sha256(shown.encode()).hexdigest()


def key_of(shown: str, keys: Iterable[ApiKey]) -> ApiKey | None:
    """The key that is shown, None if it is nobody's; it takes as long whichever it is."""
    digest = digest_of(shown).encode()
    found = [key for key in keys if hmac.compare_digest(digest, key.digest.encode())]
    return found[0] if found else None


def shown_key(authorization: str, method: str) -> str:
    """The key that a request shows in its header of that name, empty if none.

    As `Bearer KEY`; to look at something also as the password of `Basic`, which is what a browser can ask for. Not
    to change anything: browsers send it along with forms of other pages.
    """
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic" and method in ("GET", "HEAD"):
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""
