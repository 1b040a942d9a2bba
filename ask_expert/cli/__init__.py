"""
The `ask-expert` command.

`serve` is dispatched from argv before the command-line library is imported: a
client waits for it, and some give up after three seconds.
"""

import sys


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"] or (not arguments and not sys.stdin.isatty()):
        from ask_expert.cli.serve import serve

        sys.exit(serve(arguments[1:]))
    from ask_expert.cli.app import run

    sys.exit(run())
