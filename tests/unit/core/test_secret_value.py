"""A `SecretValue` is never shown, whatever a program does to show it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from jetbridge.core.secret_value import MASK, SecretValue

PLANTED = "hunter2-planted"
SECRET = SecretValue.of(PLANTED)


class _Model(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    value: SecretValue


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        lambda v: "%s %r" % (v, v),  # noqa: UP031 - the old way shows values too
        lambda v: f"{v}{v!r}{v!s}{v:x}",
        lambda v: repr([v, {"a": v}, (v,)]),
        lambda v: repr(_Model(value=v)),
        lambda v: str(ValueError(v)),
        lambda v: repr(KeyError(v)),
    ],
)
def test_is_not_shown(show: Callable[[Any], str]) -> None:
    shown = show(SECRET)
    assert PLANTED not in shown
    assert MASK in shown, "something else than the mask is shown"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(SECRET, protocol)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_is_not_copied(copied: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        copied(SECRET)


def test_is_not_json() -> None:
    with pytest.raises(TypeError) as caught:
        json.dumps({"value": SECRET})
    assert PLANTED not in str(caught.value)


def test_is_not_in_a_traceback() -> None:
    def fails(value: SecretValue) -> None:
        raise RuntimeError(f"can't use {value}")

    try:
        fails(SECRET)
    except RuntimeError as error:
        captured = traceback.TracebackException.from_exception(error, capture_locals=True)
        told = "".join(captured.format())
    assert "can't use ***" in told
    assert PLANTED not in told


def test_is_not_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("took %s and %r", SECRET, {"value": SECRET})
    assert PLANTED not in caplog.text
    assert MASK in caplog.text


def test_is_not_in_pydantic_errors_or_dumps() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_python(SECRET)
    assert PLANTED not in str(caught.value)
    assert PLANTED not in repr(_Model(value=SECRET).model_dump())


def test_text_of_bytes_that_are_no_text_says_nothing_of_them() -> None:
    with pytest.raises(UnicodeError) as caught:
        SecretValue(PLANTED.encode() + b"\xff").text()
    told = "".join(traceback.format_exception(caught.value))
    assert PLANTED not in told
    assert caught.value.__cause__ is None


def test_is_not_a_key() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        {SECRET: 1}  # noqa: B018


def test_equality_is_that_of_the_bytes() -> None:
    assert SecretValue.of("a") == SecretValue(b"a")
    assert SecretValue.of("a") != SecretValue.of("b")
    assert SecretValue.of("a") != "a"


def test_gives_what_was_put_in() -> None:
    assert SecretValue.of("é").reveal() == "é".encode()
    assert SecretValue.of("é").text() == "é"
    assert len(SecretValue.of("é")) == 2
