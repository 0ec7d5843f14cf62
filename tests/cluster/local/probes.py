"""Readiness checks over HTTP; each returns a reason, or an empty text when all is well."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.cluster.commands import CommandError, run

TIMEOUT = 3.0  # seconds


def http_ok(url: str, context: ssl.SSLContext | None = None) -> str:
    """Ask for a page; proxies of the environment are not for addresses on this machine."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=TIMEOUT) as answer:
            return "" if answer.status < 300 else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}: {error.read(200).decode(errors='replace').strip()}"
    except (OSError, ValueError) as error:
        return f"no answer from {url}: {getattr(error, 'reason', error)}"


def page(url: str) -> Callable[[], str]:
    """A probe of a plain page."""
    return lambda: http_ok(url)


def secure_page(url: str, authority: Path | None = None, client: tuple[Path, Path] | None = None) -> Callable[[], str]:
    """A probe over TLS; without an authority any server certificate will do (self-signed ones of the components)."""

    def probe() -> str:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        if authority is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if client:
            context.load_cert_chain(*map(str, client))
        return http_ok(url, context)

    return probe


def command_says(argv: list[str | Path], wanted: str) -> Callable[[], str]:
    """A probe that runs a command and wants its output to be exactly this."""

    def probe() -> str:
        try:
            said = run(argv, timeout=10).strip()
        except CommandError as error:
            return str(error)
        return "" if said == wanted else f"{said or 'nothing'} instead of {wanted}"

    return probe
