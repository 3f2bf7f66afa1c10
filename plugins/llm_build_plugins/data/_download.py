"""A file from the network, whole or not at all. Torch-free."""

from __future__ import annotations

from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from llm_build import DataError, __version__

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""

LIMIT = 64 * 2**20
"""The largest answer that is taken, in bytes: several times the largest book."""


def download(address: str) -> bytes:
    """What stands at an address. Raises `DataError` with the reason where it cannot be had whole."""
    try:
        request = Request(address, headers={"User-Agent": f"llm-build/{__version__}"})  # noqa: S310 (https, or http)
        with build_opener(WebRedirects).open(request, timeout=TIMEOUT) as answer:
            return _whole(answer)
    except (ValueError, InvalidURL) as fault:
        raise DataError(f"that is no address ({fault})") from fault
    except HTTPError as fault:
        raise DataError(f"the server says {fault.code} {fault.reason}") from fault
    except URLError as fault:
        raise DataError(f"there is no connection ({fault.reason})") from fault
    except (OSError, HTTPException) as fault:
        raise DataError(f"the connection broke off ({fault or type(fault).__name__})") from fault


class WebRedirects(HTTPRedirectHandler):
    """Follows a redirect to http and https; urllib's own would go to ftp too."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise HTTPError(newurl, code, f"{msg} - Redirection to url '{newurl}' is not allowed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _whole(answer: HTTPResponse) -> bytes:
    content = answer.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise DataError(f"the answer is larger than {LIMIT:_} bytes")
    if answer.length:  # what is left of the Content-Length, which a read of so many bytes does not ask for
        raise DataError(f"the answer was cut short: {answer.length} bytes are missing")
    return content
