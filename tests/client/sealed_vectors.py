"""Writes tests/vectors/sealed.json: known answers for every client that opens sealed fields.

Run ``python -m tests.client.sealed_vectors`` to write it again. It makes JWEs by hand, with IVs and keys that follow
from names, so that the answers do not come from the code under test and never change by themselves.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PATH = Path(__file__).parent.parent / "vectors" / "sealed.json"
SUBJECT = "orders.c42.o7"
MESSAGE_ID = "01JD7Z3M-9f2c"
CONTACT = {"/contact/mail": "ada@example.com", "/contact/phone": "+49 30 1234567"}
HEALTH = {"/note": ["nuts", {"grams": 12.5, "severe": True}]}
CLEAR: dict[str, Any] = {"order": "o7", "status": "shipped", "contact": {"name": "Ada"}, "items": [{"sku": "x"}]}

Vector = dict[str, Any]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def derived(name: str, length: int) -> bytes:
    return hashlib.sha256(f"tidewire vectors {name}".encode()).digest()[:length]


def jwk(field_class: str, epoch: int = 1, tenant: str = "acme") -> dict[str, Any]:
    name = f"{tenant} {field_class} {epoch}"
    return {
        "kty": "oct",
        "alg": "A256GCM",
        "kid": b64(derived(f"kid {name}", 16)),
        "k": b64(derived(f"key {name}", 32)),
        "tidewire_tenant": tenant,
        "tidewire_subject": "c42",
        "tidewire_class": field_class,
        "tidewire_epoch": epoch,
        "tidewire_created": 1795420000,
    }


RETIRED = jwk("contact", epoch=0)  # a key that no vector holds
KEYS = [jwk("contact"), jwk("health"), jwk("contact", epoch=2), jwk("contact", tenant="globex")]


def header(field_class: str, **changes: object) -> dict[str, Any]:
    """The protected header of a class; None takes a member out."""
    members: dict[str, Any] = {
        "alg": "dir",
        "enc": "A256GCM",
        "kid": jwk(field_class)["kid"],
        "sub": SUBJECT,
        "mid": MESSAGE_ID,
        "cls": field_class,
        "iat": 1795420800,
    }
    members.update(changes)
    return {name: value for name, value in members.items() if value is not None}


def jwe(members: dict[str, Any] | bytes, plaintext: object, key: dict[str, Any], iv_bytes: int = 12) -> str:
    """A compact JWE by hand (RFC 7516 5.1); ``plaintext`` is text as it is, or a value."""
    protected = members if isinstance(members, bytes) else compact_json(members)
    text = plaintext if isinstance(plaintext, bytes) else compact_json(plaintext)
    secret = base64.urlsafe_b64decode(key["k"] + "=")
    aad = b64(protected).encode()
    iv = hashlib.sha256(b"iv" + protected + text).digest()[:iv_bytes]
    sealed = AESGCM(secret).encrypt(iv, text, aad)
    return f"{aad.decode()}..{b64(iv)}.{b64(sealed[:-16])}.{b64(sealed[-16:])}"


def compact_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# 16 bytes leave 4 bits of their last letter unused: each of these spells the same tag as its letter with zeros there.
STRAY = {"A": "B", "Q": "R", "g": "h", "w": "x"}
GOOD_CONTACT = jwe(header("contact"), CONTACT, jwk("contact"))
GOOD_HEALTH = jwe(header("health"), HEALTH, jwk("health"))


def flip(compact: str, segment: int) -> str:
    """Change one bit in the first byte of a segment."""
    segments = compact.split(".")
    data = base64.urlsafe_b64decode(segments[segment] + "=" * (-len(segments[segment]) % 4))
    segments[segment] = b64(bytes([data[0] ^ 1]) + data[1:])
    return ".".join(segments)


def with_segment(compact: str, segment: int, text: str) -> str:
    segments = compact.split(".")
    segments[segment] = text
    return ".".join(segments)


def restored(*classes: str) -> dict[str, Any]:
    data = copy.deepcopy(CLEAR)
    if "contact" in classes:
        data["contact"] |= {"mail": "ada@example.com", "phone": "+49 30 1234567"}
    if "health" in classes:
        data["note"] = HEALTH["/note"]
    return data


def vector(name: str, data: object, expect: Vector, **more: object) -> Vector:
    return {
        "name": name,
        "subject": SUBJECT,
        "message_id": MESSAGE_ID,
        "tenant": "acme",
        "expected": None,
        "keys": {"keys": KEYS},
        "data": data,
        "expect": expect,
    } | more


def tampered(name: str, contact: object, reason: str, **more: object) -> Vector:
    """The class contact is changed; health beside it opens all the same."""
    data = CLEAR | {"$sealed": {"contact": contact, "health": GOOD_HEALTH}}
    expect = {"data": restored("health"), "opened": ["health"], "shut": {"contact": reason}}
    return vector(name, data, expect, **more)


def resealed(name: str, plaintext: object, reason: str, **changes: object) -> Vector:
    """The class contact is sealed anew by somebody who holds the key, with another plaintext or header."""
    return tampered(name, jwe(header("contact", **changes), plaintext, jwk("contact")), reason)


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def good() -> Iterator[Vector]:
    both = CLEAR | {"$sealed": {"contact": GOOD_CONTACT, "health": GOOD_HEALTH}}
    opened = {"data": restored("contact", "health"), "opened": ["contact", "health"], "shut": {}}
    yield vector("two classes open", both, opened)
    yield vector(
        "two classes open, whatever their order", CLEAR | {"$sealed": dict(reversed(both["$sealed"].items()))}, opened
    )
    yield vector("without a tenant to compare", both, opened, tenant=None)
    expected = {"contact": ["/contact/mail", "/contact/phone"], "health": ["/note"]}
    yield vector("what is expected is there", both, opened, expected=expected)
    padded = jwe(header("contact"), compact_json(CONTACT).ljust(256), jwk("contact"))
    data = CLEAR | {"$sealed": {"contact": padded}}
    yield vector("padded with spaces", data, {"data": restored("contact"), "opened": ["contact"], "shut": {}})
    yield vector("nothing is sealed", CLEAR, {"data": CLEAR, "opened": [], "shut": {}})
    yield vector("no class in $sealed", CLEAR | {"$sealed": {}}, {"data": CLEAR, "opened": [], "shut": {}})
    yield vector("data is no object", [1, {"$sealed": 2}], {"data": [1, {"$sealed": 2}], "opened": [], "shut": {}})
    whole = jwe(header("contact"), {"/a~1b": [1, None], "/c~0d": None, "/contact/tief/ä": {}}, jwk("contact"))
    yield vector(
        "escaped names, null, an empty object, letters beyond ASCII",
        {"contact": {"tief": {}}, "$sealed": {"contact": whole}},
        {"data": {"contact": {"tief": {"ä": {}}}, "a/b": [1, None], "c~d": None}, "opened": ["contact"], "shut": {}},
    )
    second = jwe(header("contact", kid=KEYS[2]["kid"]), CONTACT, KEYS[2])
    data = CLEAR | {"$sealed": {"contact": second}}
    yield vector("a later epoch", data, {"data": restored("contact"), "opened": ["contact"], "shut": {}})
    edge = {f"/p{place:02}": nested(31 if place == 0 else 0) for place in range(64)}
    data = {"$sealed": {"contact": jwe(header("contact"), edge, jwk("contact"))}}
    restored_edge = {pointer[1:]: value for pointer, value in edge.items()}
    yield vector("64 fields, 32 levels", data, {"data": restored_edge, "opened": ["contact"], "shut": {}})


def opening(name: str, plaintext: object, fields: dict[str, Any], clear: dict[str, Any] | None = None) -> Vector:
    """The class contact opens, and ``fields`` come to the top level of the clear part."""
    clear = CLEAR if clear is None else clear
    data = clear | {"$sealed": {"contact": jwe(header("contact"), plaintext, jwk("contact"))}}
    return vector(name, data, {"data": clear | fields, "opened": ["contact"], "shut": {}})


def good_but_rare() -> Iterator[Vector]:
    odd: dict[str, Any] = {"__proto__": {"x": 1}, "constructor": {"prototype": None}, "toString": "x"}
    yield opening("names of prototypes are names", {f"/{name}": value for name, value in odd.items()}, odd)
    inner: dict[str, Any] = CLEAR["contact"] | {"__proto__": {"x": 1}}
    yield opening("names of prototypes further in", {"/contact/__proto__": {"x": 1}}, {"contact": inner})
    clear: dict[str, Any] = {"__proto__": {"name": "Ada"}, "__defineGetter__": {}}
    yield opening(
        "names of prototypes in clear",
        {"/__proto__/phone": 1, "/__defineGetter__/valueOf": 2},
        {"__proto__": {"name": "Ada", "phone": 1}, "__defineGetter__": {"valueOf": 2}},
        clear,
    )
    yield opening("the empty name", {"/": 1, "/contact/": 2}, {"": 1, "contact": CLEAR["contact"] | {"": 2}})
    yield opening("names that only begin alike", {"/a": {}, "/ab": 1, "/a~1b": 2}, {"a": {}, "ab": 1, "a/b": 2})
    long = "x" * (256 - 31)
    filled: dict[str, Any] = {long: 1}
    clear = {}
    for _ in range(15):
        clear, filled = {"a": clear}, {"a": filled}
    yield opening("a pointer of 16 names and 256 bytes", {"/a" * 15 + "/" + long: 1}, filled, clear)
    yield opening(
        "escapes: a pair of surrogates, NUL, a quote, a backslash",
        b'{"/\\ud83d\\ude00":"\\ud83d\\ude00\\u0000\\"\\\\"}',
        {"\U0001f600": '\U0001f600\0"\\'},
    )
    brackets = '"' + "[{:" * 40 + "\\"
    yield opening("brackets and colons in a string", {"/text": brackets}, {"text": brackets})
    yield opening(
        "the largest and smallest numbers",
        b'{"/n":[1.7976931348623157e308,5e-324,9007199254740991,-1.5E-7,1e-999]}',
        {"n": [1.7976931348623157e308, 5e-324, 9007199254740991, -1.5e-7, 0.0]},
    )
    spaced = json.dumps(header("contact", iat=0), indent=1).replace("kid", "\\u006bid").encode()
    data = CLEAR | {"$sealed": {"contact": jwe(spaced, CONTACT, jwk("contact"))}}
    opened = {"data": restored("contact"), "opened": ["contact"], "shut": {}}
    yield vector("a header with spaces, escapes and iat 0", data, opened)
    expected = {"contact": ["/constructor", "/__proto__/x", "/toString/length", "wrong"]}
    data = CLEAR | {"$sealed": {"contact": GOOD_CONTACT}}
    yield vector("names of prototypes are not there in clear", data, opened, expected=expected)


def tampering_with_the_jwe() -> Iterator[Vector]:
    yield tampered("1 bit flip in the header", flip(GOOD_CONTACT, 0), "header")
    spaced = b64(json.dumps(header("contact")).encode())
    yield tampered("1 header respelled with spaces", with_segment(GOOD_CONTACT, 0, spaced), "decrypt")
    yield tampered("2 bytes in the encrypted-key part", with_segment(GOOD_CONTACT, 1, "AAAA"), "form")
    yield tampered("3 bit flip in the IV", flip(GOOD_CONTACT, 2), "decrypt")
    for length in (11, 13):
        iv = jwe(header("contact"), CONTACT, jwk("contact"), iv_bytes=length)
        yield tampered(f"3 IV of {length} bytes", iv, "form")
    yield tampered("4 bit flip in the ciphertext", flip(GOOD_CONTACT, 3), "decrypt")
    ciphertext = GOOD_CONTACT.split(".")[3]
    yield tampered("4 ciphertext truncated", with_segment(GOOD_CONTACT, 3, ciphertext[:8]), "decrypt")
    yield tampered("4 ciphertext empty", with_segment(GOOD_CONTACT, 3, ""), "form")
    yield tampered("5 bit flip in the tag", flip(GOOD_CONTACT, 4), "decrypt")
    yield tampered("5 tag of 12 bytes", with_segment(GOOD_CONTACT, 4, GOOD_CONTACT.split(".")[4][:16]), "form")
    yield vector(
        "6 two classes swapped",
        CLEAR | {"$sealed": {"contact": GOOD_HEALTH, "health": GOOD_CONTACT}},
        {"data": CLEAR, "opened": [], "shut": {"contact": "class", "health": "class"}},
    )
    yield vector(
        "7 moved to another subject",
        CLEAR | {"$sealed": {"contact": GOOD_CONTACT}},
        {"data": CLEAR, "opened": [], "shut": {"contact": "subject"}},
        subject="orders.c42.o8",
    )
    for name, other in (("replayed under another message id", "other"), ("the event has no message id", None)):
        yield vector(
            f"8 {name}",
            CLEAR | {"$sealed": {"contact": GOOD_CONTACT}},
            {"data": CLEAR, "opened": [], "shut": {"contact": "message_id"}},
            message_id=other,
        )
    relabelled = with_segment(GOOD_CONTACT, 0, b64(compact_json(header("contact", kid=KEYS[2]["kid"]))))
    yield tampered("9 kid of another held key of the class", relabelled, "decrypt")
    relabelled = with_segment(GOOD_CONTACT, 0, b64(compact_json(header("contact", kid=KEYS[1]["kid"]))))
    yield tampered("9 kid of a held key of another class", relabelled, "key_scope")
    other_tenant = jwe(header("contact", kid=KEYS[3]["kid"]), CONTACT, KEYS[3])
    yield tampered("9 kid of a held key of another tenant", other_tenant, "key_scope")
    renamed = with_segment(GOOD_CONTACT, 0, b64(compact_json(header("contact", cls="address"))))
    yield tampered("10 class relabelled, map key kept", renamed, "class")
    yield vector(
        "10 class relabelled, map key too",
        CLEAR | {"$sealed": {"address": renamed}},
        {"data": CLEAR, "opened": [], "shut": {"address": "key_scope"}},
    )

    yield vector(
        "10 a class by the name of a prototype",
        CLEAR | {"$sealed": {"__proto__": GOOD_CONTACT, "constructor": GOOD_CONTACT}},
        {"data": CLEAR, "opened": [], "shut": {"__proto__": "class", "constructor": "class"}},
    )


def tampering_with_the_event() -> Iterator[Vector]:
    expected = {"contact": ["/contact/mail", "/contact/phone"], "health": ["/note"]}
    forged = CLEAR | {"contact": {"name": "Ada", "phone": "+1 555"}, "$sealed": {"health": GOOD_HEALTH}}
    expect = {"data": restored("health"), "opened": ["health"], "shut": {"contact": "in_clear"}}
    yield vector("11 stripped, value in clear", forged, expect, expected=expected)
    both = forged | {"$sealed": {"contact": GOOD_CONTACT, "health": GOOD_HEALTH}}
    yield vector("11 value in clear beside the sealed one", both, expect, expected=expected)
    both = forged | {"$sealed": {"contact": flip(GOOD_CONTACT, 4), "health": GOOD_HEALTH}}
    yield vector("11 value in clear beside a sealed one that was changed", both, expect, expected=expected)
    only = CLEAR | {"$sealed": {"health": GOOD_HEALTH}}
    expect = {"data": restored("health"), "opened": ["health"], "shut": {"contact": "missing"}}
    yield vector("12 one declared class stripped", only, expect, expected=expected)
    expect = {"data": CLEAR, "opened": [], "shut": {"contact": "missing", "health": "missing"}}
    yield vector("12 all declared classes stripped", CLEAR, expect, expected=expected)
    for name, data in (("null", None), ("text", "$sealed"), ("a list", [CLEAR])):
        yield vector(f"12 data is {name}", data, expect | {"data": data}, expected=expected)
    expect = {"data": CLEAR, "opened": [], "shut": {"$sealed": "form", "contact": "missing", "health": "missing"}}
    yield vector("12 $sealed is a list", CLEAR | {"$sealed": [GOOD_CONTACT]}, expect, expected=expected)
    for name, sealed in (("a list", [GOOD_CONTACT]), ("a number", 7), ("null", None), ("text", GOOD_CONTACT)):
        expect = {"data": CLEAR, "opened": [], "shut": {"$sealed": "form"}}
        yield vector(f"25 $sealed is {name}", CLEAR | {"$sealed": sealed}, expect)
    many = {f"c{place}": GOOD_CONTACT for place in range(16)} | {"contact": GOOD_CONTACT}
    expect = {"data": CLEAR, "opened": [], "shut": {"$sealed": "limit"}}
    yield vector("25 17 classes", CLEAR | {"$sealed": many}, expect)
    protected, _, iv, ciphertext, tag = GOOD_CONTACT.split(".")
    general = {"protected": protected, "iv": iv, "ciphertext": ciphertext, "tag": tag}
    yield tampered("26 JSON serialization for compact", general, "form")
    yield tampered("26 JSON serialization as text", json.dumps(general), "form")
    for name, text in (
        ("four segments", GOOD_CONTACT.rsplit(".", 1)[0]),
        ("six segments", GOOD_CONTACT + ".AAAA"),
        ("padding", GOOD_CONTACT + "=="),
        ("a line break", GOOD_CONTACT + "\n"),
        ("stray bits at the end", GOOD_CONTACT[:-1] + STRAY[GOOD_CONTACT[-1]]),
        ("letters of the other alphabet", with_segment(GOOD_CONTACT, 4, "+/" + tag[2:])),
        ("one letter too many", GOOD_CONTACT + "A" * (5 - len(tag) % 4)),
        ("letters beyond ASCII", with_segment(GOOD_CONTACT, 4, "\u00e4" + tag[1:])),
        ("few letters that are many in UTF-16", with_segment(GOOD_CONTACT, 0, "\U0001f600" * 1100)),
        ("a space before it", " " + GOOD_CONTACT),
        ("an empty text", ""),
        ("null", None),
    ):
        yield tampered(f"form: {name}", text, "form")


def tampering_with_the_header() -> Iterator[Vector]:
    for alg in ("A256KW", "RSA1_5", "A256GCMKW", "none"):
        yield resealed(f"13 alg {alg}", CONTACT, "algorithm", alg=alg)
    pbes2 = header("contact", alg="PBES2-HS256+A128KW") | {"p2s": "AAAAAAAAAAA", "p2c": 2**31}
    yield tampered("13 PBES2 with a huge p2c", jwe(pbes2, CONTACT, jwk("contact")), "header")
    yield resealed("13 enc A128GCM", CONTACT, "algorithm", enc="A128GCM")
    yield resealed("14 zip", CONTACT, "header", zip="DEF")
    yield resealed("14 crit", CONTACT, "header", crit=["iat"])
    yield resealed("14 crit, empty", CONTACT, "header", crit=[])
    twice = compact_json(header("contact"))[:-1] + b',"kid":"x"}'
    yield tampered("15 duplicate member", jwe(twice, CONTACT, jwk("contact")), "header")
    twice = compact_json(header("contact"))[:-1] + b',"\\u006bid":"x"}'
    yield tampered("15 duplicate member by an escape", jwe(twice, CONTACT, jwk("contact")), "header")
    yield resealed("15 extra member", CONTACT, "header", typ="JWE")
    yield resealed("15 a member __proto__", CONTACT, "header", __proto__={"iat": 1})
    yield resealed("15 a member __proto__ for iat", CONTACT, "header", __proto__={"iat": 1}, iat=None)
    for number in (b"1.0", b"1795420800.0", b"1e9", b"1E9", b"-1", b"NaN", b"9" * 400, b"01"):
        text = compact_json(header("contact")).replace(b"1795420800", number)
        name = "a number of 400 digits" if len(number) == 400 else number.decode()
        yield tampered(f"15 iat is {name}", jwe(text, CONTACT, jwk("contact")), "header")
    text = compact_json(header("contact", sub="x")).replace(b'"x"', b'"\\ud800"')
    yield tampered("15 a lone surrogate", jwe(text, CONTACT, jwk("contact")), "header")
    text = compact_json(header("contact", sub="x")).replace(b'"x"', b'"\xff"')
    yield tampered("15 invalid UTF-8", jwe(text, CONTACT, jwk("contact")), "header")
    yield tampered("15 a header that is a list", jwe(b'["dir","A256GCM"]', CONTACT, jwk("contact")), "header")
    for member in ("kid", "sub", "mid", "cls", "iat", "alg", "enc"):
        yield resealed(f"15 without {member}", CONTACT, "header", **{member: None})
    for name, changes in (
        ("iat a list", {"iat": [1]}),
        ("iat true", {"iat": True}),
        ("iat text", {"iat": "1795420800"}),
        ("iat below 0", {"iat": -1}),
        ("kid a number", {"kid": 7}),
        ("alg a list", {"alg": ["dir"]}),
        ("sub an object", {"sub": {"x": SUBJECT}}),
    ):
        yield resealed(f"15 {name}", CONTACT, "header", **changes)
    yield tampered(
        "15 a header in UTF-16", jwe(json.dumps(header("contact")).encode("utf-16"), CONTACT, KEYS[0]), "header"
    )
    yield tampered(
        "15 a header with a byte order mark",
        jwe(b"\xef\xbb\xbf" + compact_json(header("contact")), CONTACT, KEYS[0]),
        "header",
    )
    yield resealed("15 a header of 4,000 letters", CONTACT, "limit", sub="x" * 4000)
    yield tampered("16 kid of a retired epoch", jwe(header("contact", kid=RETIRED["kid"]), CONTACT, RETIRED), "no_key")
    data = CLEAR | {"$sealed": {"contact": GOOD_CONTACT, "health": GOOD_HEALTH}}
    shut = {"contact": "no_key", "health": "no_key"}
    yield vector("16 a device without keys", data, {"data": CLEAR, "opened": [], "shut": shut}, keys={"keys": []})


def tampering_with_pointers() -> Iterator[Vector]:
    for pointer, reason in (
        ("/nobody/phone", "parent"),
        ("/status/phone", "parent"),
        ("/items/0", "parent"),
        ("/items/0/price", "parent"),
        ("/items/1", "parent"),
        ("/-", "pointer"),
        ("/items/-", "pointer"),
        ("/contact/~2", "pointer"),
        ("/contact/~", "pointer"),
        ("contact", "pointer"),
        ("#/contact/phone", "pointer"),
        ("/__proto__/polluted", "parent"),
        ("/constructor/prototype/polluted", "parent"),
        ("/contact/__proto__/polluted", "parent"),
        ("/items/length/x", "parent"),
        ("/status/length", "parent"),
        ("/items/__proto__/polluted", "parent"),
    ):
        yield resealed(f"20 pointer {pointer}", {pointer: 1}, reason)
    yield resealed("20 a pointer of 17 names", {"/a" * 17: 1}, "pointer")
    yield resealed("20 a pointer of 257 bytes", {"/" + "x" * 256: 1}, "pointer")
    yield resealed("20 a pointer of 257 bytes in 129 letters", {"/" + "\u00e4" * 128: 1}, "pointer")
    yield resealed("20 one good pointer does not save the other", CONTACT | {"/nobody/x": 1}, "parent")
    for pointer in ("/status", "/contact/name", "/contact", "/items"):
        yield resealed(f"21 {pointer} exists in clear", {pointer: 1}, "exists")
    null = CLEAR | {"note": None}
    yield vector(
        "21 null exists in clear",
        null | {"$sealed": {"contact": GOOD_CONTACT, "health": GOOD_HEALTH}},
        {"data": restored("contact") | {"note": None}, "opened": ["contact"], "shut": {"health": "exists"}},
    )
    yield resealed("22 the whole data", {"": {"all": "new"}}, "pointer")
    yield resealed("22 into $sealed", {"/$sealed/x": 1}, "pointer")
    yield resealed("22 $sealed itself", {"/$sealed": {}}, "pointer")
    yield resealed("22 collision in one class", {"/a": {}, "/a/b": 1}, "collision")
    yield resealed("22 collision far above", {"/a": {}, "/a/b/c/d": 1}, "collision")
    yield resealed("22 collision with the empty name", {"/a": {}, "/a/": 1}, "collision")
    yield resealed("22 collision below the empty name", {"/": {}, "//a": 1}, "collision")
    yield resealed("22 collision before parent", {"/nobody/x": 1, "/a": {}, "/a/b": 1}, "collision")
    for name, health in (("the same pointer", {"/contact/phone": 1}), ("below it", {"/contact/phone/x": 1})):
        data = CLEAR | {"$sealed": {"contact": GOOD_CONTACT, "health": jwe(header("health"), health, jwk("health"))}}
        shut = {"contact": "collision", "health": "collision"}
        yield vector(f"22 collision across classes: {name}", data, {"data": CLEAR, "opened": [], "shut": shut})
    same = jwe(header("health"), {"/contact/phone": 7}, jwk("health"))
    contact = CLEAR["contact"] | {"phone": 7}
    yield vector(
        "22 no collision with a class that does not open",
        CLEAR | {"$sealed": {"contact": flip(GOOD_CONTACT, 4), "health": same}},
        {"data": CLEAR | {"contact": contact}, "opened": ["health"], "shut": {"contact": "decrypt"}},
    )


def tampering_with_the_plaintext() -> Iterator[Vector]:
    yield resealed("23 plaintext over 48 KiB", {"/big": "x" * 49_152}, "limit")
    yield resealed("23 65 fields", {f"/p{place:02}": 1 for place in range(65)}, "limit")
    yield resealed("23 33 levels", {"/deep": nested(32)}, "limit")
    yield resealed("23 33 levels of objects", b'{"":' * 33 + b"1" + b"}" * 33, "limit")
    yield resealed("23 33 levels without an end", b'{"/deep":' + b"[" * 32, "limit")
    yield resealed("23 33 levels and invalid UTF-8", b'{"\xff":' + b"[" * 32, "limit")
    yield resealed("23 33 brackets in a string without an end", b'{"/deep":"' + b"[" * 32, "plaintext")
    for name, plaintext in (
        ("not JSON", b"phone"),
        ("an array", b'["/contact/phone"]'),
        ("null", b"null"),
        ("no fields", b"{}"),
        ("duplicate pointer", b'{"/contact/phone":1,"/contact/phone":2}'),
        ("duplicate key inside", b'{"/contact/phone":{"a":1,"a":2}}'),
        ("duplicate pointer by an escape", b'{"/contact/phone":1,"/contact\\u002fphone":1}'),
        ("duplicate key in a list", b'{"/contact/phone":[{"a":{"b":1},"a":{"b":1}}]}'),
        ("duplicate __proto__", b'{"/contact/phone":{"__proto__":1,"__proto__":1}}'),
        ("NaN", b'{"/contact/phone":NaN}'),
        ("-Infinity", b'{"/contact/phone":[-Infinity]}'),
        ("a number of 400 digits", b'{"/contact/phone":' + b"9" * 400 + b"}"),
        ("a number too large", b'{"/contact/phone":1e999}'),
        ("invalid UTF-8", b'{"/contact/phone":"\xff"}'),
        ("an overlong form in UTF-8", b'{"/contact/phone":"\xc0\xaf"}'),
        ("a surrogate in UTF-8", b'{"/contact/phone":"\xed\xa0\x80"}'),
        ("UTF-8 that is cut off", b'{"/contact/phone":"\xe2\x82"}'),
        ("a lone surrogate", b'{"/contact/phone":"\\ud800"}'),
        ("a lone surrogate in a name", b'{"/contact/phone":[{"\\udc00x":1}]}'),
        ("a pair of surrogates in the wrong order", b'{"/contact/phone":"\\udc00\\ud800"}'),
        ("a line break in a string", b'{"/contact/phone":"\n"}'),
        ("a comma at the end", b'{"/contact/phone":1,}'),
        ("a number with a zero before it", b'{"/contact/phone":01}'),
        ("a comment", b'{"/contact/phone":1/**/}'),
        ("a space that is none in JSON", b'{"/contact/phone":\xc2\xa01}'),
        ("a byte order mark", b'\xef\xbb\xbf{"/contact/phone":1}'),
        ("more after the end", b'{"/contact/phone":1}{}'),
    ):
        yield resealed(f"24 plaintext: {name}", plaintext, "plaintext")


def document() -> str:
    vectors = [
        *good(),
        *good_but_rare(),
        *tampering_with_the_jwe(),
        *tampering_with_the_event(),
        *tampering_with_the_header(),
        *tampering_with_pointers(),
        *tampering_with_the_plaintext(),
    ]
    about = {
        "about": "Opening of sealed fields (protocol, clause 5). For each vector: open data with keys; expect.data is "
        "the data without $sealed and with what opened, expect.opened the classes that opened (sorted), expect.shut "
        "those that did not, with the reason.",
        "fields": {
            "name": "what is tried; names with one number are variants of one attack",
            "subject": "the event's subject",
            "message_id": "the event's message id, or null",
            "tenant": "whose keys count, or null for any",
            "expected": "class to pointers that the reader knows to be sensitive, or null",
            "keys": "what the device holds: a JWK Set",
            "data": "the event's data",
            "expect": "the answer",
        },
    }
    lines = ",\n".join(json.dumps(made, separators=(",", ":")) for made in vectors)  # one a line: a diff shows which
    return json.dumps(about, indent=1).removesuffix("\n}") + f',\n "vectors": [\n{lines}\n ]\n}}\n'


if __name__ == "__main__":
    PATH.write_text(document())
