"""`ask-expert serve`: the MCP server over standard input and output, or over HTTP."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from ask_expert.cli import outliving

_MOST_PORT = 65_535
_HOST = r"[a-z0-9._-]+|\[[0-9a-f:.]+\]"
_PORTS = {"http": "80", "https": "443"}
_OF_HTTP = ("allow_host", "allow_origin", "trust_proxy", "no_token")


def serve(arguments: Sequence[str]) -> int:
    """Parse the flags, serve until the end, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.http is None:
        for name in _OF_HTTP:
            if getattr(options, name):
                parser.error(f"--{name.replace('_', '-')} goes with --http")
        if not options.no_daemon and outliving.is_possible():
            return outliving.serve_outliving(arguments)

    import anyio

    from ask_expert.cli import output
    from ask_expert.errors import AskExpertError, ConfigError
    from ask_expert.home import home_folder

    try:
        home = options.home or home_folder()
    except ConfigError as error:
        output.complain(f"ask-expert: {error}")
        return 1
    log = {"level": options.log_level, "format": options.log_format}
    flags = {
        "policy": options.policy,
        "log": {name: value for name, value in log.items() if value} or None,
    }
    if options.http is None:
        from ask_expert.mcp_server.server import serve_stdio

        anyio.run(serve_stdio, home, flags)
        return 0

    from ask_expert.mcp_server.http_server import Address, serve_http

    host, port = options.http
    address = Address(
        host=host,
        port=port,
        allowed_hosts=tuple(options.allow_host),
        allowed_origins=tuple(options.allow_origin),
        trusted_proxies=tuple(options.trust_proxy),
        no_token=options.no_token,
    )
    try:
        anyio.run(serve_http, home, flags, address)
    except AskExpertError as error:
        output.complain(f"ask-expert: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ask-expert serve",
        description="Serve MCP over standard input and output, or over HTTP.",
        allow_abbrev=False,
    )
    parser.add_argument("--home", type=Path, help="folder of settings and ledger")
    parser.add_argument("--policy", help="preset name or path; overrides the settings")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--log-format", choices=["json", "pretty"])
    parser.add_argument(
        "--no-daemon",
        action="store_true",
        help="serve in this very process, whose end ends paid calls, too",
    )
    parser.add_argument(
        "--http",
        type=_place,
        metavar="HOST:PORT",
        help="serve a team over HTTP, to clients with access tokens",
    )
    for name, meta, kind, text in (
        ("--allow-host", "NAME", _host, "a name that the server goes by; repeatable"),
        ("--allow-origin", "ORIGIN", _origin, "pages that may call it; repeatable"),
        ("--trust-proxy", "IP", str, "a proxy whose X-Forwarded-* count; repeatable"),
    ):
        parser.add_argument(
            name, action="append", default=[], metavar=meta, type=kind, help=text
        )
    parser.add_argument(
        "--no-token",
        action="store_true",
        help="take requests without a token; on loopback alone",
    )
    return parser


def _place(text: str) -> tuple[str, int]:
    """Return host and port; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = bare and port.isascii() and port.isdigit() and int(port) <= _MOST_PORT
    if not good or (":" in bare and bare == host):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST:PORT, e.g. 127.0.0.1:8765 or [::1]:8765"
        )
    return bare, int(port)


def _host(text: str) -> str:
    """Return a name as it is compared with the Host header, whatever its port."""
    name = text.strip().lower()
    if not re.fullmatch(rf"(?:{_HOST})(?::\d+)?", name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of a host, e.g. team.example.org"
        )
    return name


def _origin(text: str) -> str:
    """Return an origin as browsers write it: small, without a usual port or a path."""
    found = re.fullmatch(
        rf"(?P<way>[a-z][a-z0-9+.-]*)://(?P<host>{_HOST})(?::(?P<port>\d+))?/?",
        text.strip().lower(),
    )
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no origin, e.g. https://tools.example.org"
        )
    way, host, port = found["way"], found["host"], found["port"]
    return f"{way}://{host}" + (f":{port}" if port and port != _PORTS.get(way) else "")
