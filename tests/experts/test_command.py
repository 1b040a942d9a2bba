import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from ask_expert.errors import (
    ConfigError,
    ExpertRejectedError,
    ExpertReplyError,
)
from ask_expert.experts import http, prices
from ask_expert.experts.command import Command, run
from ask_expert.experts.incoming import MOST_BYTES
from ask_expert.experts.keys import key_for
from ask_expert.experts.registry import wire_for
from ask_expert.experts.transport import send
from ask_expert.experts.wire import Event
from ask_expert.question import Prompt, Turn
from ask_expert.settings import ExpertSettings, needs_calls_budget
from tests.experts.support import KEY, NOW, PROMPT, an_expert

Program = Callable[..., ExpertSettings]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write a vendor's program in Python; return an expert that runs it."""

    def write(code: str, *arguments: str, **facts: Any) -> ExpertSettings:
        file = tmp_path / "vendor-cli"
        file.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
        file.chmod(0o755)
        given = {"api": "command", "model": "opus", "command": [str(file), *arguments]}
        return an_expert(**{**given, **facts})

    return write


async def answered(
    expert: ExpertSettings, prompt: bytes = b"Why?", deadline_s: float = 30, **more: Any
) -> str:
    environ = more.pop("environ", {"PATH": os.environ["PATH"]})
    answer = await run(expert, prompt, deadline_s=deadline_s, environ=environ, **more)
    return answer.text


@pytest.mark.anyio
async def test_the_prompt_goes_in_and_the_answer_comes_out(program: Program) -> None:
    expert = program("print(sys.stdin.read().upper())")

    assert await answered(expert, b"use a lock") == "USE A LOCK"


@pytest.mark.anyio
async def test_it_is_sent_like_any_other_expert(program: Program) -> None:
    expert = program("print('got:', sys.stdin.read())")
    wire = wire_for("command")
    request = wire.encode(expert, PROMPT, max_output_tokens=9)

    async with http.new_client() as client:
        answer = await send(client, expert, wire, request, key=None, deadline_s=30)

    assert answer.text == f"got: {request.body.decode()}".strip()
    assert answer.finish == "stop"
    assert answer.provenance.asked_model == "opus"
    assert answer.provenance.served_model is None
    assert answer.usage.source == "estimated"


def test_the_prompt_is_one_plain_text() -> None:
    request = Command().encode(an_expert(), PROMPT, max_output_tokens=9)

    assert request.body.decode() == (
        "Help.\n\n# Asked before\n\nWhy does it hang?\n\n# You answered before\n\n"
        "A lock.\n\n# Asked now\n\nWhich – «SECRET:token:1»?\n"
    )


def test_a_first_question_has_no_headings() -> None:
    prompt = Prompt(system="Help.", turns=(Turn(role="user", text="Why?"),))

    request = Command().encode(an_expert(), prompt, max_output_tokens=9)

    assert request.body == b"Help.\n\nWhy?\n"


@pytest.mark.anyio
async def test_the_model_takes_the_place_of_its_mark_alone(program: Program) -> None:
    expert = program("print(sys.argv[1:])", "--model", "{model}", "x{model}", "$HOME")

    assert await answered(expert) == "['--model', 'opus', 'x{model}', '$HOME']"


@pytest.mark.anyio
async def test_it_runs_in_an_empty_folder_of_its_own(program: Program) -> None:
    expert = program(
        "print(os.getcwd(), os.listdir('.'), os.environ['PWD'],"
        " oct(os.stat('.').st_mode)[-3:], 'OLDPWD' in os.environ)"
    )
    environ = {"PATH": os.environ["PATH"], "PWD": "/project", "OLDPWD": "/project"}

    folder, *rest = (await answered(expert, environ=environ)).split()

    assert rest == ["[]", folder, "700", "False"]
    assert not Path(folder).exists()  # noqa: ASYNC240


@pytest.mark.anyio
async def test_it_sees_no_secret_but_the_one_that_is_named(program: Program) -> None:
    names = ("ANTHROPIC_API_KEY", "SOME_TOKEN", "VENDOR_OAUTH_TOKEN", "LANG")
    expert = program(
        f"print([name for name in {names} if name in os.environ])",
        key_env="VENDOR_OAUTH_TOKEN",
    )
    environ = {**dict.fromkeys(names, "0123456789"), "PATH": os.environ["PATH"]}

    assert await answered(expert, environ=environ) == "['VENDOR_OAUTH_TOKEN', 'LANG']"


@pytest.mark.anyio
async def test_what_the_named_variable_holds_is_taken_out_of_the_answer(
    program: Program,
) -> None:
    expert = program(f"print('I am {KEY}')", key_env="VENDOR_OAUTH_TOKEN")

    assert await answered(expert, key=KEY) == "I am [key]"


@pytest.mark.anyio
async def test_the_answer_is_utf_8_whatever_comes(program: Program) -> None:
    expert = program("sys.stdout.buffer.write(b'a \\xff b \\xe2\\x82\\xac')")

    assert await answered(expert) == "a � b €"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('part'); sys.exit('first\\nlast: log in again')", "log in again"),
        ("print('API error: no quota'); sys.exit(2)", "status 2: API error: no quota"),
        ("sys.exit(3)", "vendor-cli ended with status 3;"),
        ("os.kill(os.getpid(), 9)", "status -9"),
        ("print('  ')", "printed no answer"),
    ],
)
async def test_a_program_that_fails_is_told_in_its_last_words(
    program: Program, code: str, words: str
) -> None:
    with pytest.raises(ExpertReplyError) as caught:
        await answered(program(code))

    assert words in str(caught.value)
    assert "first" not in str(caught.value)
    assert caught.value.billed == "unknown"


@pytest.mark.anyio
async def test_a_program_that_is_not_there_is_an_error_of_the_settings(
    tmp_path: Path,
) -> None:
    for name in ("no-such-vendor-cli", str(tmp_path / "nowhere"), str(tmp_path)):
        expert = an_expert(api="command", command=[name])
        with pytest.raises(ConfigError, match=r"is not there"):
            await answered(expert)


@pytest.mark.anyio
async def test_such_a_program_sent_through_the_door_bills_nothing() -> None:
    expert = an_expert(api="command", command=["no-such-vendor-cli"])
    wire = wire_for("command")
    request = wire.encode(expert, PROMPT, max_output_tokens=9)

    async with http.new_client() as client:
        with pytest.raises(ExpertRejectedError, match="no-such-vendor-cli") as caught:
            await send(client, expert, wire, request, key=None, deadline_s=30)

    assert caught.value.billed == "no"


@pytest.mark.anyio
async def test_a_program_that_cannot_start_bills_nothing(program: Program) -> None:
    expert = program("print('hello')", "x" * 4_000_000)

    with pytest.raises(ExpertRejectedError, match="cannot be started") as caught:
        await answered(expert)

    assert caught.value.billed == "no"


FAMILY = (
    "import subprocess\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid} ')\n"
)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def all_end(file: Path) -> bool:
    pids = [int(pid) for pid in file.read_text().split()]
    until = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        os.sched_yield()
    return len(pids) == 2 and not any(alive(pid) for pid in pids)


@pytest.mark.anyio
async def test_a_deadline_ends_the_program_and_its_children(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    expert = program(FAMILY + "time.sleep(600)", str(file))

    with pytest.raises(ExpertReplyError, match=r"no answer within 4 s") as caught:
        await answered(expert, deadline_s=4)

    assert all_end(file)
    assert caught.value.billed == "unknown"


@pytest.mark.anyio
async def test_an_answer_that_had_begun_by_the_deadline_is_kept(
    program: Program,
) -> None:
    expert = program("print('Use a lock', flush=True); time.sleep(600)")

    answer = await run(expert, b"", deadline_s=4, environ={"PATH": os.environ["PATH"]})

    assert (answer.text, answer.finish) == ("Use a lock", "partial")
    assert answer.provenance.finish_reason == "deadline of 4 s"


@pytest.mark.anyio
async def test_a_cancelled_call_ends_the_program_and_its_children(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    begun = anyio.Event()
    expert = program(FAMILY + "print('begun', flush=True); time.sleep(600)", str(file))

    async with anyio.create_task_group() as group:

        def begun_by(_: int) -> None:
            begun.set()

        async def ask() -> None:
            await answered(expert, watch=begun_by)

        group.start_soon(ask)
        with anyio.fail_after(20):
            await begun.wait()
        group.cancel_scope.cancel()

    assert all_end(file)


@pytest.mark.anyio
async def test_a_child_left_behind_does_not_keep_the_answer_back(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    expert = program(FAMILY + "print('Use a lock')", str(file))

    assert await answered(expert, deadline_s=60) == "Use a lock"
    assert all_end(file)


@pytest.mark.anyio
async def test_a_program_that_never_stops_printing_is_stopped(
    program: Program,
) -> None:
    expert = program("while True: sys.stdout.write('x' * 100_000)")

    with pytest.raises(ExpertReplyError, match=f"{MOST_BYTES:,} bytes"):
        await answered(expert, deadline_s=60)


@pytest.mark.anyio
async def test_a_program_need_not_read_its_prompt(program: Program) -> None:
    expert = program("os.close(0); print('done')")

    assert await answered(expert, b"x" * 3_000_000) == "done"


@pytest.mark.anyio
async def test_a_long_prompt_and_many_complaints_do_not_block_each_other(
    program: Program,
) -> None:
    expert = program("sys.stderr.write('e' * 3_000_000); print(len(sys.stdin.read()))")

    assert await answered(expert, b"x" * 3_000_000) == "3000000"


@pytest.mark.anyio
async def test_whoever_watches_sees_the_answer_grow(program: Program) -> None:
    expert = program(
        "print('Use', flush=True); time.sleep(0.3); print('a lock', flush=True)"
    )
    seen: list[int] = []

    answer = await run(
        expert,
        b"",
        deadline_s=30,
        environ={"PATH": os.environ["PATH"]},
        watch=seen.append,
    )

    assert seen[-1] == len("Use\na lock\n")
    assert answer.first_token_us is not None


def test_it_needs_no_key_and_a_budget_in_calls() -> None:
    expert = an_expert(api="command", command=["vendor"])

    assert key_for(expert, {"ANTHROPIC_API_KEY": KEY}) is None
    assert needs_calls_budget(expert)
    assert not needs_calls_budget(an_expert())


def test_a_subscription_s_price_is_named_so_and_is_nothing() -> None:
    expert = an_expert(api="command", command=["vendor"], model="gpt-6.1-sol")
    answer = Command().decode(expert, b"Use a lock.", {})

    quote = prices.quote(expert, b"Why?", NOW)
    charge = prices.charge(
        expert, answer, NOW, assumed_input_tokens=9, assumed_output_tokens=9
    )

    assert (quote.source, quote.worst_case_nusd(8192)) == ("subscription", 0)
    assert (charge.source, charge.nusd) == ("subscription", 0)


def test_its_output_comes_in_pieces_too() -> None:
    reply = Command().gather()

    for text in ("Use ", "a lock."):
        reply.add(Event(name="", data=text))

    assert (reply.text, reply.is_whole) == ("Use a lock.", False)
    assert Command().decode(an_expert(), reply.body(), {}).text == "Use a lock."
    assert Command().auth(an_expert(), KEY, url="", body=b"") == {}


GONE = (
    "import subprocess\n"
    "def child(**more):\n"
    "    code = 'import time; time.sleep(600)'\n"
    "    return subprocess.Popen([sys.executable, '-c', code], **more).pid\n"
)


@pytest.mark.anyio
async def test_an_answer_is_whole_when_the_program_ends_and_its_group_is_killed(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    expert = program(
        GONE
        + "pids = [child(), child(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]\n"
        "open(sys.argv[1], 'w').write(' '.join(map(str, pids)))\n"
        "print('Use a lock.')",
        str(file),
    )

    answer = await run(expert, b"", deadline_s=30, environ={"PATH": os.environ["PATH"]})

    assert (answer.text, answer.finish) == ("Use a lock.", "stop")
    assert all_end(file)


@pytest.mark.anyio
async def test_a_child_that_left_the_group_is_not_waited_for(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    expert = program(
        GONE + "pid = child(start_new_session=True)\n"
        "open(sys.argv[1], 'w').write(str(pid))\n"
        "print('Use a lock.')",
        str(file),
    )

    try:
        with anyio.fail_after(60):  # the child lives ten times as long
            answer = await run(
                expert, b"", deadline_s=500, environ={"PATH": os.environ["PATH"]}
            )

        assert (answer.text, answer.finish) == ("Use a lock.", "stop")
        assert alive(int(file.read_text()))
    finally:
        os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.mark.anyio
async def test_the_beginning_of_a_key_is_taken_out_where_the_answer_broke_off(
    program: Program,
) -> None:
    said = f"Yours: {KEY[:-3]}"
    expert = program(f"print({said!r}, end='', flush=True); time.sleep(600)")

    answer = await run(
        expert, b"", deadline_s=4, environ={"PATH": os.environ["PATH"]}, key=KEY
    )

    assert (answer.text, answer.finish) == ("Yours: [key]", "partial")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "complaint",
    [
        f"{'x' * 280} {KEY}",
        f"{'x' * 280} {KEY[:9]}\u200b{KEY[9:]}",
        f"{KEY} {'x' * (16_000 - len(KEY) + 5 - 1)}",
    ],
    ids=["at the cut", "split", "cut off in front"],
)
async def test_a_key_is_taken_out_of_a_complaint_before_it_is_cut(
    program: Program, complaint: str
) -> None:
    expert = program(
        f"sys.stderr.buffer.write({complaint!r}.encode()); sys.stderr.flush(); sys.exit(1)"
    )

    with pytest.raises(ExpertReplyError) as caught:
        await answered(expert, key=KEY)

    assert "[key]" in str(caught.value)
    assert KEY[5:15] not in str(caught.value)
