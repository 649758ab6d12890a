"""Shell: what is wrong with the files that a configuration names, found before anything is started."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from gateway.config import Config, Issuer
from gateway.config_file import read_file, read_secret
from security.development import is_development_certificate
from security.development_names import is_development_issuer, is_development_kid
from security.errors import ConfigurationError
from security.keys import JwksRefused, parse_jwks

_REMEDY = 'is for development; name another in profile "production"'


def named_files(config: Config) -> Iterator[str]:
    """One line for each problem, by the field that names the file: missing, open to others, wrong, for development."""
    listen, nats = config.listen, config.nats
    public = (("listen.certificate", listen.certificate), ("nats.ca", nats.ca), ("nats.certificate", nats.certificate))
    private = (
        ("listen.key", listen.key),
        ("nats.password_file", nats.password_file),
        ("nats.credentials_file", nats.credentials_file),
        ("nats.key", nats.key),
    )
    is_production = config.profile == "production"
    for name, path in public:
        if path is not None:
            yield from _problem(partial(read_file, Path(path), name))
    for name, path in private:
        if path is not None:
            yield from _problem(partial(read_secret, Path(path), name))
    if is_production and listen.certificate is not None and Path(listen.certificate).is_file():
        yield from _certificate(Path(listen.certificate))
    for place, issuer in enumerate(config.issuers):
        yield from _issuer(issuer, f"issuers[{place}]", is_production=is_production)


def _issuer(issuer: Issuer, path: str, *, is_production: bool) -> Iterator[str]:
    if is_production and is_development_issuer(issuer.name):
        yield f"{path}.name: {issuer.name} {_REMEDY}"
    if "://" in issuer.jwks:
        return  # fetched when the gateway runs
    try:
        data = read_file(Path(issuer.jwks), f"{path}.jwks")
    except ConfigurationError as error:
        yield str(error)
        return
    keys = parse_jwks(data, algorithms=issuer.algorithms, from_file=True)
    if isinstance(keys, JwksRefused):
        yield f"{path}.jwks: {issuer.jwks}: {keys.message}"
    elif is_production and any(is_development_kid(kid) for kid in keys.by_kid):
        yield f"{path}.jwks: a key in {issuer.jwks} {_REMEDY}"


def _certificate(path: Path) -> Iterator[str]:
    try:
        if is_development_certificate(path):
            yield f"listen.certificate: {path} {_REMEDY}"
    except ConfigurationError as error:
        yield f"listen.certificate: {error}"


def _problem(read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except ConfigurationError as error:
        yield str(error)
