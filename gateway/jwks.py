"""Shell: fetching a JWK Set from one fixed https URL: no redirects, 5 seconds, 64 KiB (docs/security.md S8)."""

import ssl

import aiohttp

from security.errors import UpstreamUnavailable

FETCH_S = 5.0
DOCUMENT_BYTES = 65_536


async def fetch_jwks(url: str, tls: ssl.SSLContext | None = None) -> bytes:
    """The document. Raises ``UpstreamUnavailable`` for anything but a 200 of at most 64 KiB within 5 seconds."""
    timeout = aiohttp.ClientTimeout(total=FETCH_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as http,
            http.get(url, allow_redirects=False, ssl=tls or True, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:
                raise UpstreamUnavailable(f"status {answer.status}")
            document = bytearray()
            async for chunk in answer.content.iter_chunked(8_192):
                document += chunk
                if len(document) > DOCUMENT_BYTES:
                    raise UpstreamUnavailable(f"more than {DOCUMENT_BYTES} bytes")
            return bytes(document)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UpstreamUnavailable(type(error).__name__) from error
