"""What stops one item of a worklist, and no other."""

from __future__ import annotations


class BadInput(Exception):
    """An input that cannot be used; the message is the reason its item fails with."""
