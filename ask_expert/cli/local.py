"""`ask-expert local`: serve a model of your own, and look how it does."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder

app = typer.Typer(
    help="Serve a local model, and look how it does.", no_args_is_help=True
)

Size = Annotated[
    int | None, typer.Option(min=1, help="See vLLM's option of this name.")
]


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": False}
)
def serve(  # noqa: PLR0917  # each is an option of the command
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="A model of the hub, or a folder. See also `--`.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port to listen on.")
    ] = 8000,
    name: Annotated[
        str | None, typer.Option(help="Name that clients know the model by.")
    ] = None,
    tensor_parallel_size: Size = None,
    pipeline_parallel_size: Size = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Spread the work by Ray, over machines too.")
    ] = False,
    write_settings: Annotated[
        bool, typer.Option(help="Write `local:` into the settings once it is healthy.")
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace another `local:` there.")
    ] = False,
    ready_within: Annotated[
        float, typer.Option(min=1, help="Seconds until it must be healthy.")
    ] = 1800,
    restarts: Annotated[
        int, typer.Option(min=0, help="Most new starts in a row after crashes.")
    ] = 3,
    home: Home = None,
) -> None:
    """Serve MODEL by vLLM until it is stopped; what follows `--` goes to `vllm serve`."""
    from ask_expert.local import launch, serving, supervise

    wanted = launch.Serving(
        model=model,
        host=host,
        port=port,
        name=name,
        tensor_parallel=tensor_parallel_size,
        pipeline_parallel=pipeline_parallel_size,
        ray=ray,
        more=tuple(context.args),
    )
    file = _settings_file(home) if write_settings else None
    plan = serving.planned(
        wanted, environ=os.environ, settings=file, force=force, say=_say
    )
    program = supervise.Program(
        command=plan.command,
        health_url=f"{wanted.root}/health",
        ready_within_s=ready_within,
        restarts=restarts,
    )
    status = supervise.run(program, say=_say, ready=plan.ready)
    if status:
        raise typer.Exit(status)


@app.command()
def status(
    seconds: Annotated[
        float,
        typer.Option(min=0.1, max=600, help="Between the two readings of /metrics."),
    ] = 2.0,
    json: Json = False,
    home: Home = None,
) -> None:
    """Show whether the local servers answer, and how busy they are; status 1 if not."""
    from ask_expert import settings_file
    from ask_expert.local import showing, state

    locals_ = settings_file.load(folder(home)).locals
    if not locals_:
        output.say("no local model is set up; give `local:` in settings.yaml")
        return
    found = state.look(locals_, environ=os.environ, seconds=seconds)
    if json:
        output.as_json([each.as_json() for each in found])
    else:
        output.table([showing.cells(each) for each in found], head=showing.HEAD)
        for each in found:
            for sentence in showing.sentences(each):
                output.say(f"{each.name}: {sentence}")
    if not all(each.sound for each in found):
        raise typer.Exit(1)


def _settings_file(home: Path | None) -> Path:
    from ask_expert.settings_file import FILE_NAME

    return folder(home) / FILE_NAME


def _say(text: str) -> None:
    from ask_expert.redaction.plain import without_secrets

    # Somebody may have put a key among the arguments, although VLLM_API_KEY is there.
    output.complain(f"ask-expert: {without_secrets(text)}")
