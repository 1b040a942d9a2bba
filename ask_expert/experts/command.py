"""
A vendor's own program that a subscription pays for: the prompt in, the answer out.

Such a program is an agent of its own. It is started without a shell, from the
user's settings only, in an empty folder, and without the variables whose names say
that they hold a key: one that finds a key of the API would have the API paid.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from ask_expert.answer_block import visible
from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
)
from ask_expert.experts.echo import (
    text_without_key,
    without_end_of_key,
    without_start_of_key,
)
from ask_expert.experts.incoming import MOST_BYTES
from ask_expert.experts.tokens import text_bound
from ask_expert.experts.wire import Event, StreamedReply, WireRequest
from ask_expert.home import expanded
from ask_expert.question import Prompt
from ask_expert.redaction import secret_environment
from ask_expert.reply import ExpertAnswer, Provenance, Usage
from ask_expert.settings import ExpertSettings

_MODEL = "{model}"
_MOST_COMPLAINT = 16_000
_TAIL_S = 1.5
"""For what a program printed just before it ended to come through."""

_MAY_COUNT = "it may count against the subscription."
_HEADS = {"user": "Asked", "assistant": "You answered"}


class Command:
    """See `Wire`; `run` sends what it encodes."""

    default_base_url = ""
    own_credentials = True

    def encode(
        self,
        expert: ExpertSettings,  # noqa: ARG002
        prompt: Prompt,
        *,
        max_output_tokens: int,  # noqa: ARG002  # a program takes no ceiling
    ) -> WireRequest:
        """See `Wire.encode`: one plain text, the instructions first."""
        *earlier, asked = prompt.turns
        parts = [prompt.system]
        for turn in earlier:
            parts.append(f"# {_HEADS.get(turn.role, 'You answered')} before")
            parts.append(turn.text)
        if earlier:
            parts.append("# Asked now")
        parts.append(asked.text)
        text = "\n\n".join(part for part in parts if part) + "\n"
        return WireRequest(path="", body=text.encode("utf-8", "replace"))

    def auth(
        self,
        expert: ExpertSettings,  # noqa: ARG002
        key: str,  # noqa: ARG002
        *,
        url: str,  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> dict[str, str]:
        """See `Wire.auth`; the program is logged in by itself."""
        return {}

    def decode(
        self,
        expert: ExpertSettings,
        body: bytes,
        headers: Mapping[str, str],  # noqa: ARG002
    ) -> ExpertAnswer:
        """See `Wire.decode`; which model answered, the program does not say."""
        text = body.decode("utf-8", "replace").strip()
        if not text:
            raise ExpertReplyError(
                expert.name, f"{_program(expert)} printed no answer; {_MAY_COUNT}"
            )
        usage = Usage(output_tokens=text_bound(text.encode()), source="estimated")
        return ExpertAnswer(
            text=text, usage=usage, provenance=Provenance(asked_model=expert.model)
        )

    def failure(
        self,
        expert: ExpertSettings,
        status: int,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,
    ) -> ExpertError:
        """See `Wire.failure`: an exit status, and what the program complained of."""
        said = visible(body.decode("utf-8", "replace")).strip().splitlines()
        last = " ".join(said[-1].split()).rstrip(".") if said else ""
        why = f": {last}" if last else ""
        return ExpertReplyError(
            expert.name,
            f"{_program(expert)} ended with status {status}{why}; {_MAY_COUNT}",
            told=last,
        )

    def gather(self) -> StreamedReply:
        """See `Wire.gather`; each event is a part of the output."""
        return _Output()


class _Output:
    """See `StreamedReply`."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """See `StreamedReply.text`."""
        return "".join(self._parts)

    @property
    def chars(self) -> int:
        """See `StreamedReply.chars`."""
        return sum(len(part) for part in self._parts)

    @property
    def has_text(self) -> bool:
        """See `StreamedReply.has_text`."""
        return any(part.strip() for part in self._parts)

    @property
    def is_whole(self) -> bool:
        """See `StreamedReply.is_whole`; only the end of the program tells."""
        return False

    def add(self, event: Event) -> None:
        """See `StreamedReply.add`."""
        self._parts.append(event.data)

    def body(self) -> bytes:
        """See `StreamedReply.body`."""
        return self.text.encode()


async def run(
    expert: ExpertSettings,
    prompt: bytes,
    *,
    deadline_s: float,
    environ: Mapping[str, str],
    key: str | None = None,
    watch: Callable[[int], None] | None = None,
) -> ExpertAnswer:
    """
    Start the program, once, and return what it answers.

    When it ends, the deadline passes or the caller is cancelled, the program's whole
    process group is killed: all that it started, but for what left the group. An
    answer that had begun when the deadline passed is given, as `partial`.

    Args:
        expert: Whose `command` it is.
        prompt: What it reads from standard input.
        deadline_s: For all of it, in seconds.
        environ: Variables; those named like a secret are kept from it, except
            `key_env`.
        key: What `key_env` holds; it is taken out of the answer.
        watch: Called with the bytes of the answer so far.

    Raises:
        ConfigError: There is no such program.
        ExpertRejectedError: It cannot be started; nothing was sent.
        ExpertReplyError: It failed, printed nothing or too much, or was too slow.
    """
    words = argv(expert, environ)
    heard = _Heard(watch=watch, started=time.monotonic())
    folder = tempfile.mkdtemp(prefix="ask-expert-")
    try:
        process = await _started(expert, words, folder, _variables(expert, environ))
        is_late = await _converse(process, prompt, heard, deadline_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _answer(expert, heard, process.returncode, key, deadline_s, is_late=is_late)


def _answer(
    expert: ExpertSettings,
    heard: "_Heard",
    status: int | None,
    key: str | None,
    deadline_s: float,
    *,
    is_late: bool,
) -> ExpertAnswer:
    wire, program = Command(), _program(expert)
    out = text_without_key(heard.out.decode("utf-8", "replace"), key)
    if heard.is_too_much:
        raise ExpertReplyError(
            expert.name, f"{program} printed over {MOST_BYTES:,} bytes; {_MAY_COUNT}"
        )
    if is_late and not out.strip():
        raise ExpertReplyError(
            expert.name,
            f"{program} gave no answer within {deadline_s:g} s and was stopped; "
            f"{_MAY_COUNT}",
        )
    if not is_late and status != 0:
        complaint = heard.complaint.decode("utf-8", "replace")
        complaint = text_without_key(without_end_of_key(complaint, key), key)
        complaint = complaint if complaint.strip() else out
        raise wire.failure(expert, status or 0, {}, complaint.encode())
    answer = wire.decode(expert, out.encode(), {})
    answer = replace(answer, first_token_us=heard.first_token_us)
    if not is_late:
        return answer
    broke = replace(answer.provenance, finish_reason=f"deadline of {deadline_s:g} s")
    text = without_start_of_key(answer.text, key)
    return replace(answer, text=text, finish="partial", provenance=broke)


@dataclass(slots=True, kw_only=True)
class _Heard:
    """What a program has printed so far."""

    watch: Callable[[int], None] | None
    started: float
    out: bytearray = field(default_factory=bytearray)
    complaint: bytearray = field(default_factory=bytearray)
    first_token_us: int | None = None
    is_too_much: bool = False

    async def listen(self, process: Process, stream: ByteReceiveStream) -> None:
        """Keep the answer; a program that never stops is stopped."""
        async for chunk in stream:
            self.out += chunk
            if len(self.out) > MOST_BYTES:
                self.is_too_much = True
                _kill(process)
                return
            if self.first_token_us is None and self.out.strip():
                elapsed_s = time.monotonic() - self.started
                self.first_token_us = int(elapsed_s * 1_000_000)
            if self.watch is not None:
                self.watch(len(self.out))

    async def note(self, stream: ByteReceiveStream) -> None:
        """Keep the end of the complaints."""
        async for chunk in stream:
            self.complaint += chunk
            del self.complaint[:-_MOST_COMPLAINT]


async def _started(
    expert: ExpertSettings, words: Sequence[str], folder: str, env: Mapping[str, str]
) -> Process:
    try:
        return await anyio.open_process(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**env, "PWD": folder},
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise _unusable(expert, f"cannot be run ({error.strerror})") from error
    except (OSError, ValueError) as error:
        raise ExpertRejectedError(
            expert.name, f"{_program(expert)} cannot be started ({error})."
        ) from error


async def _converse(
    process: Process, prompt: bytes, heard: _Heard, deadline_s: float
) -> bool:
    """
    Hand the prompt over and listen to the end; return whether that came too late.

    What the program printed is whole when it has ended: a child that left its process
    group and holds the pipes open is not waited for.
    """
    ended = False
    assert process.stdin is not None  # noqa: S101  # all three are pipes
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    try:
        with anyio.move_on_after(deadline_s):
            async with anyio.create_task_group() as group:
                group.start_soon(_hand_over, process.stdin, prompt)
                group.start_soon(heard.listen, process, process.stdout)
                group.start_soon(heard.note, process.stderr)
                await process.wait()
                ended = True
                # What it left running would keep the pipes open.
                _kill(process)
                group.cancel_scope.deadline = anyio.current_time() + _TAIL_S
    finally:
        _kill(process)
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return not ended


async def _hand_over(stdin: ByteSendStream, prompt: bytes) -> None:
    """Write the prompt; a program may end before it has read all of it."""
    with contextlib.suppress(OSError, anyio.BrokenResourceError):
        await stdin.send(prompt)
    with contextlib.suppress(OSError, anyio.BrokenResourceError):
        await stdin.aclose()


def _kill(process: Process) -> None:
    """Kill the program's process group, if anything of it is still there."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        elif process.returncode is None:
            process.kill()


def argv(expert: ExpertSettings, environ: Mapping[str, str]) -> list[str]:
    """
    Return what is started: the program's whole path, and its arguments.

    Raises:
        ConfigError: There is no such program.
    """
    command = expert.command or ("",)
    given = str(expanded(Path(command[0])))
    found = shutil.which(given, path=environ.get("PATH"))
    if found is None:
        raise _unusable(expert, "is not there, or is no program; install it or log in")
    rest = [expert.model if part == _MODEL else part for part in command[1:]]
    return [str(Path(found).absolute()), *rest]


def _unusable(expert: ExpertSettings, why: str) -> ConfigError:
    program = (expert.command or ("",))[0]
    return ConfigError(
        f"the program {program!r} of expert {expert.name!r} {why}.",
        key=f"experts.{expert.name}.command",
    )


def _variables(expert: ExpertSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without secrets, and without the way to the project."""
    hidden = {*secret_environment(environ), "OLDPWD"} - {expert.key_env}
    return {name: value for name, value in environ.items() if name not in hidden}


def _program(expert: ExpertSettings) -> str:
    return Path((expert.command or ("",))[0]).name
