"""`ask-expert serve`: the MCP server over standard input and output."""

import argparse
from collections.abc import Sequence
from pathlib import Path


def serve(arguments: Sequence[str]) -> int:
    """Parse the flags, serve until standard input ends, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="ask-expert serve",
        description="Serve MCP over standard input and output, in this process.",
        allow_abbrev=False,
    )
    parser.add_argument("--home", type=Path, help="folder of settings and ledger")
    parser.add_argument("--policy", help="preset name or path; overrides the settings")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--log-format", choices=["json", "pretty"])
    parser.add_argument(
        "--no-daemon",
        action="store_true",
        help="serve in this process (always so in this version)",
    )
    options = parser.parse_args(arguments)

    import anyio

    from ask_expert.cli import output
    from ask_expert.errors import ConfigError
    from ask_expert.mcp_server.server import serve_stdio
    from ask_expert.settings import home_folder

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
