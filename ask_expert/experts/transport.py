"""How one try leaves: over HTTP, or through a vendor's own program."""

import os
from collections.abc import Callable

from ask_expert.errors import ConfigError, ExpertRejectedError
from ask_expert.experts import command, http
from ask_expert.experts.wire import Wire, WireRequest
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings


async def send(  # noqa: PLR0913  # two of them only listen
    client: http.httpx.AsyncClient,
    expert: ExpertSettings,
    wire: Wire,
    request: WireRequest,
    *,
    key: str | None,
    deadline_s: float,
    watch: Callable[[int], None] | None = None,
    heard: Callable[[str], None] | None = None,
) -> ExpertAnswer:
    """
    Send one try, once, and return the answer; see `http.send` and `command.run`.

    Raises:
        ExpertError: As either of them does. What the settings make impossible, such
            as absent credentials, is an `ExpertRejectedError`: nothing was sent, so
            nothing is billed.
    """
    try:
        if isinstance(wire, command.Command):
            return await command.run(
                expert,
                request.body,
                deadline_s=deadline_s,
                environ=os.environ,
                key=key,
                watch=watch,
            )
        return await http.send(
            client,
            expert,
            wire,
            request,
            key=key,
            deadline_s=deadline_s,
            watch=watch,
            heard=heard,
        )
    except ConfigError as error:
        raise ExpertRejectedError(expert.name, str(error)) from error
