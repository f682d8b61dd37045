"""Logging as text for people or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(line)


class _NoTraceback(logging.Filter):
    """Drops tracebacks: an exception's text may hold what a server answered. The place of ours is in the message."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[0] is not None:
            record.msg = f"{record.getMessage()} ({record.exc_info[0].__name__})"
            record.args = ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def configure(style: Literal["text", "json"], level: str) -> None:
    """Sets up logging to standard error, for us and for the libraries."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_NoTraceback())
    if style == "json":
        handler.setFormatter(_JsonFormatter())
    else:
        text = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        text.converter = time.gmtime
        handler.setFormatter(text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("kopf", "aiohttp", "urllib3", "hvac", "kubernetes", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
