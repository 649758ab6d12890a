"""Every field of the configuration at its limits and one beyond, and every problem by its path."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

import gateway.config
from gateway.config import Config
from gateway.config_parse import parse
from security.errors import ConfigurationError
from tests.examples import examples

GOOD: dict[str, Any] = {
    "profile": "development",
    "listen": {"plain": True},
    "issuers": [{"name": "https://issuer.example", "jwks": "keys.json"}],
}


def with_field(path: str, value: object) -> dict[str, Any]:
    section, name = path.split(".")
    return {**GOOD, section: {**GOOD.get(section, {}), name: value}}


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(document)
    return str(caught.value).splitlines()


def numbers() -> Iterator[tuple[str, inspect.IntType | inspect.FloatType]]:
    """Each number in the sections that occur once, by path."""
    root = inspect.type_info(Config)
    assert isinstance(root, inspect.StructType)
    for section in root.fields:
        if not isinstance(section.type, inspect.StructType):
            continue
        for field in section.type.fields:
            for kind in field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,):
                if isinstance(kind, inspect.IntType | inspect.FloatType):
                    yield f"{section.name}.{field.encode_name}", kind


NUMBERS = dict(numbers())


def test_an_empty_section_holds_the_documented_defaults() -> None:
    config = parse(GOOD)
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 8_443)
    assert (config.recent.recent_bytes, config.recent.recent_events) == (67_108_864, 200_000)
    assert (config.durables.inactive_threshold_s, config.durables.park_after_s) == (86_400, 30)
    assert (config.admission.replays, config.admission.replays_per_tenant) == (64, 16)
    assert (config.window.messages, config.window.bytes) == (1_000, 1_048_576)
    assert (config.window.max_messages, config.window.max_bytes) == (10_000, 8_388_608)
    assert (config.ping.every_s, config.ping.answer_s, config.limits.first_frame_s) == (25, 10, 5)
    assert config.cursors.session_idle_s == 30 * 86_400


@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_passes_at_its_limits_and_is_refused_one_beyond(path: str) -> None:
    kind = NUMBERS[path]
    least = kind.ge if kind.ge is not None else kind.gt
    assert least is not None, f"{path} has no lower limit"
    over: list[float] = [least] if kind.ge is None else [least - 1]
    if kind.le is not None:
        over.append(kind.le + 1)
    for value in over:
        found = problems(with_field(path, value))
        assert [line.split(":")[0] for line in found] == [path]
        assert found[0].endswith(f"is {value:,}")
    for limit in (kind.ge, kind.le):
        if limit is not None:
            assert own_problem(path, limit) == []


def own_problem(path: str, value: float) -> list[str]:
    """What is said of the field itself: at its limit it may still contradict another."""
    try:
        parse(with_field(path, value))
    except ConfigurationError as error:
        return [line for line in str(error).splitlines() if line.startswith(f"{path}: must be") and " to " in line]
    return []


@pytest.mark.parametrize("value", [True, "5", 5.5, None, [5]])
def test_a_whole_number_of_another_type_is_refused(value: object) -> None:
    assert problems(with_field("limits.frame_bytes", value)) == [
        "limits.frame_bytes: must be a whole number, 1,024 to 1,048,576"
    ]


def test_nan_and_infinity_are_refused() -> None:
    for value in (float("nan"), float("inf")):
        assert problems(with_field("ping.answer_s", value))[0].startswith("ping.answer_s: must be more than 0")


def test_all_problems_are_told_at_once_each_by_its_path() -> None:
    document = {
        "profile": "developmnt",
        "listen": {"prt": 1, "port": 70_000, "plain": "yes"},
        "limits": {"frame_bytes": 5},
        "issuers": [{"nme": "x"}, 7],
        "stream": {"replicas": 2, "subjects": []},
        "log": [],
    }
    assert problems(document) == [
        'profile: must be "development" or "production"; is "developmnt"',
        "listen.prt: is unknown; did you mean port?",
        "listen.port: must be 0 to 65,535; is 70,000",
        "listen.plain: must be true or false",
        "stream.subjects: must have 1 to 128 entries; has 0",
        "stream.replicas: must be 1 or 3 or 5; is 2",
        "limits.frame_bytes: must be 1,024 to 1,048,576; is 5",
        "issuers[0].nme: is unknown; did you mean name?",
        "issuers[0].name: is missing",
        "issuers[0].jwks: is missing",
        "issuers[1]: must be a table",
        "log: must be a table",
    ]


def test_a_text_is_never_repeated_in_a_problem() -> None:
    secret = "hunter2-" * 200
    document = {**GOOD, "nats": {"user": secret, "servers": [f"nats://a:{secret[:20]}@h"]}, "profile": secret}
    assert "hunter2" not in "\n".join(problems(document))


def test_control_characters_in_a_text_are_refused() -> None:
    assert problems(with_field("listen.host", "a\x1bb")) == ["listen.host: must hold no control characters"]


def test_a_relative_path_counts_from_the_folder_and_a_url_stays() -> None:
    issuers = [{"name": "a", "jwks": "keys.json"}, {"name": "b", "jwks": "https://b.example/jwks"}]
    nats = {"user": "gateway", "password_file": "/run/secret"}
    config = parse({**GOOD, "issuers": issuers, "nats": nats}, "/etc/tidewire")
    assert [issuer.jwks for issuer in config.issuers] == ["/etc/tidewire/keys.json", "https://b.example/jwks"]
    assert config.nats.password_file == "/run/secret"


def test_a_sealed_field_is_named_by_subject_pointer_and_class() -> None:
    sealed = [{"subject": "orders.>", "pointer": "/address/street", "class": "contact"}]
    assert parse({**GOOD, "sealed": sealed}).sealed[0].field_class == "contact"
    assert problems({**GOOD, "sealed": [{**sealed[0], "pointer": "address"}]}) == [
        "sealed[0].pointer: must match ^(/[^/]+)+$"
    ]


SECTIONS = {field.encode_name: field.type for field in msgspec.structs.fields(Config)}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted({name.partition(".")[2] for name in NUMBERS} | {"host", "name", "jwks", "subjects"}))
DOCUMENTS = st.dictionaries(
    st.sampled_from(sorted(SECTIONS)),
    VALUES
    | st.dictionaries(NAMES, VALUES, max_size=4)
    | st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=2),
    max_size=4,
)


@examples(150)
@given(DOCUMENTS)
def test_any_document_gives_a_configuration_or_problems_by_path(document: dict[str, Any]) -> None:
    try:
        parse({**GOOD, **document})
    except ConfigurationError as error:
        for line in str(error).split("\n"):
            assert line.split(".")[0].split("[")[0].split(":")[0] in SECTIONS


def test_a_number_of_thousands_of_digits_is_refused_without_being_written() -> None:
    assert problems(with_field("listen.port", 1 << 40_000)) == ["listen.port: must be 0 to 65,535; is beyond 64 bits"]


def test_every_field_has_a_docstring_that_ends_as_a_sentence() -> None:
    tree = ast.parse(Path(gateway.config.__file__).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != "Config"]
    fields = 0
    for node in classes:
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                fields += 1
                assert isinstance(after, ast.Expr), f"{node.name}: a field without a docstring"
                assert isinstance(after.value, ast.Constant)
                assert str(after.value.value).strip().endswith("."), f"{node.name}: {after.value.value!r}"
    assert fields == sum(len(msgspec.structs.fields(getattr(gateway.config, node.name))) for node in classes), (
        "a section is missing"
    )
