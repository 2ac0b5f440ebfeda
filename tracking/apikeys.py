"""API keys: what they are made of, and whom one belongs to. The store has their hashes only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from sweepyard.tracking.records import ApiKey, Role


def new_key(name: str, role: Role, now: float) -> tuple[str, ApiKey]:
    """A key as its holder shows it, of 256 random bits, and what the store keeps of it."""
    shown = f"sy_{secrets.token_urlsafe(32)}"
    return shown, ApiKey(name=name, role=role, digest=digest_of(shown), created_at=now)


def digest_of(shown: str) -> str:
    """Plain SHA-256: nobody guesses 256 random bits, so there is nothing to slow down."""
    return hashlib.sha256(shown.encode()).hexdigest()


def role_of(shown: str, keys: Iterable[ApiKey]) -> Role | None:
    """The role of a shown key, None if it is nobody's; it takes as long whichever it is."""
    digest = digest_of(shown).encode()
    roles = [key.role for key in keys if hmac.compare_digest(digest, key.digest.encode())]
    return roles[0] if roles else None
