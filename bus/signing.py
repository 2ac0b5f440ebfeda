"""Offers bear the signature of their installation: who can write to Redis must not decide what agents run."""

from __future__ import annotations

import hashlib
import hmac


def sign(key: bytes, text: str) -> str:
    """HMAC-SHA256 of `text`, in hex."""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_signed(key: bytes, text: str, signature: str) -> bool:
    """Whether `signature` is that of `text`; takes as long for a wrong one as for a right one."""
    return hmac.compare_digest(sign(key, text).encode(), signature.encode())
