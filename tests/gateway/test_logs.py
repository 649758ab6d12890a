"""What a log holds, and what it never does."""

import ast
import gc
import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import logs
from security.errors import UpstreamUnavailable

TOKEN = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJjNDIifQ." + "Zm9v" * 20
SEALED = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4v"


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back what is set below
    root = logging.getLogger()
    kept = (root.handlers[:], root.level, logging.raiseExceptions)
    names = ("gateway", "replay", "mesh", "security")
    levels = {name: logging.getLogger(name).level for name in names}
    stream = io.StringIO()
    logs.start("debug", "json", worker=3, to=stream)
    yield stream
    logging.captureWarnings(False)  # noqa: FBT003
    root.handlers[:], logging.raiseExceptions = kept[0], kept[2]
    root.setLevel(kept[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


log = logging.getLogger("gateway.example")


def only(stream: io.StringIO) -> dict[str, object]:
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert isinstance(found, dict)
    return found


def test_a_record_is_one_json_object_with_its_allowed_fields(out: io.StringIO) -> None:
    log.info("session live", extra={"seq": 7, "patterns": ("orders.c42.>",), "session": "pixel-7"})
    record = only(out)
    assert record.pop("time")
    assert record == {
        "level": "info",
        "logger": "gateway.example",
        "event": "session live",
        "worker": 3,
        "seq": 7,
        "patterns": ["orders.c42.>"],
        "session": "pixel-7",
    }


def test_a_field_that_is_not_allowed_is_not_written(out: io.StringIO) -> None:
    log.info("frame", extra={"payload": "Elm Street", "token": "abc", "data": {"phone": "555"}})
    assert set(only(out)) == {"time", "level", "logger", "event", "worker"}


def test_bytes_and_tables_in_an_allowed_field_are_not_written(out: io.StringIO) -> None:
    log.info("event", extra={"subject": b"Elm Street", "seq": {"phone": "555"}})
    assert "Elm" not in out.getvalue()
    assert "555" not in out.getvalue()


@pytest.mark.parametrize(
    "secret", [TOKEN, SEALED, TOKEN[:40], TOKEN.split(".", 1)[1], "nats://gateway:pw@127.0.0.1:4222"]
)
def test_whatever_looks_like_a_token_is_redacted_and_counted(out: io.StringIO, secret: str) -> None:
    before = logs.redacted()
    log.warning("refused %s", secret, extra={"reason": f"because of {secret}!"})
    text = out.getvalue()
    assert text.count("[redacted]") == 2
    assert "Zm9vZm9v" not in text
    assert "gateway:pw" not in text
    assert logs.redacted() == before + 2


@pytest.mark.parametrize(
    "text",
    [
        "orders.c42.o7",
        "s-abcdefghijklmnopqrstuvwxyz",
        "example-shop-production-north.customer-0123456789abcdef.order-0123456789abcdef",
        "6f1d3c9a-6ef3-4a0b-9a43-0d9d4fb0a4c1.6f1d3c9a-6ef3-4a0b-9a43-0d9d4fb0a4c1.6f1d3c9a-6ef3-4a0b-9a43-0d9d4fb0a4c1",
        "nats://127.0.0.1:4222",
    ],
)
def test_subjects_ids_and_urls_are_no_tokens(text: str) -> None:
    assert logs.redact(text) == text


def test_control_characters_cannot_start_a_new_line(out: io.StringIO) -> None:
    log.info("subject", extra={"subject": 'a\n{"level":"error"}\x1b[31m\u202e'})
    assert only(out)["subject"] == 'a\\u000a{"level":"error"}\\u001b[31m\\u202e'


def test_a_traceback_names_places_and_kinds_but_no_text_and_no_locals(out: io.StringIO) -> None:
    def fail(token: str) -> None:
        raise ValueError(f"cannot read {token}")

    try:
        try:
            fail("hunter2")
        except ValueError as error:
            raise UpstreamUnavailable("no answer from STREAM.INFO") from error
    except UpstreamUnavailable:
        log.exception("worker failed")
    record = only(out)
    assert record["exception"] == "UpstreamUnavailable"
    assert record["because"] == "no answer from STREAM.INFO"
    assert "caused by ValueError at" in str(record["at"])
    assert "test_logs.py" in str(record["at"])
    assert "hunter2" not in out.getvalue()


def test_a_foreign_exceptions_text_is_not_written(out: io.StringIO) -> None:
    try:
        int("hunter2")
    except ValueError:
        log.exception("bug")
    assert "hunter2" not in out.getvalue()
    assert only(out)["exception"] == "ValueError"


def test_a_long_value_is_cut(out: io.StringIO) -> None:
    log.info("long", extra={"reason": "x " * 5_000})
    assert len(out.getvalue()) < 2_600


def test_libraries_are_heard_from_warning_on(out: io.StringIO) -> None:
    logging.getLogger("aiohttp.access").info("GET /?token=abc")
    logging.getLogger("joserfc").debug("payload")
    assert out.getvalue() == ""


def test_text_for_people_is_one_line_with_quoted_values() -> None:
    record = logging.LogRecord("gateway", logging.INFO, "", 0, "session %s", ("live",), None)
    record.seq = 7
    record.reason = "two words"
    line = logs.TextFormatter(None).format(record)
    assert line.endswith('INFO    gateway: session live seq=7 reason="two words"')


def test_what_cannot_be_raised_is_logged_without_what_it_quotes(out: io.StringIO) -> None:
    """As where a client names no text in its TLS server name: OpenSSL's callback cannot raise."""

    class Broken:
        def __del__(self) -> None:
            raise ValueError("quotes a stranger")

    Broken()
    gc.collect()
    assert (only(out)["event"], only(out)["error"]) == ("an exception could not be raised", "ValueError")
    assert "stranger" not in out.getvalue()


def test_arguments_that_do_not_fit_the_text_lose_no_record(out: io.StringIO) -> None:
    log.info("%d of %d", 1)  # noqa: PLE1206  # the point
    assert only(out)["event"] == "%d of %d"


def logged_fields() -> Iterator[tuple[str, str]]:
    """Each field that any module gives to a log call, and where."""
    root = Path(logs.__file__).parent.parent
    for module in sorted(
        file for floor in ("gateway", "replay", "mesh", "security") for file in root.glob(f"{floor}/**/*.py")
    ):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                for key in node.value.keys:
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, f"{module.relative_to(root)}:{node.value.lineno}"


def test_every_field_that_is_logged_is_written() -> None:
    found = list(logged_fields())
    assert found
    assert [f"{where}: {name}" for name, where in found if name not in logs.FIELDS] == []
