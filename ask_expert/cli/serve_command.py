"""`ask-expert serve` in the list of commands; the work is done by `cli.serve`."""

import typer


def serve(context: typer.Context) -> None:
    """Serve MCP over standard input and output, or a team over HTTP."""
    from ask_expert.cli.serve import serve as run

    raise typer.Exit(run(context.args))
