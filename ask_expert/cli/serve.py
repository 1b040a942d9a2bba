"""`ask-expert serve`: the MCP server over standard input and output."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ask_expert.cli import outliving


def serve(arguments: Sequence[str]) -> int:
    """Parse the flags, serve until standard input ends, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="ask-expert serve",
        description="Serve MCP over standard input and output.",
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
    options = parser.parse_args(arguments)
    if not options.no_daemon and outliving.is_possible():
        return outliving.serve_outliving(arguments)

    import anyio

    from ask_expert.cli import output
    from ask_expert.errors import ConfigError
    from ask_expert.home import home_folder
    from ask_expert.mcp_server.server import serve_stdio

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
    anyio.run(serve_stdio, home, flags)
    return 0
