"""The one error that is meant for a person."""

from __future__ import annotations


class StackError(Exception):
    """Something a person can act on; its text is shown as it is, without a traceback."""
