"""
The process that runs one candidate solution; `sandbox.py` starts it.

Standard library only, and run as a file with `python -I -S`: nothing of this
package, of its environment or of its packages is importable from in here.
It reads one JSON job from standard input, limits itself, runs the solution and
then its tests, and prints the job's token only if every test came through.
"""

import ast
import json
import linecache
import os
import sys
import traceback
from types import CodeType

_FORBIDDEN = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
    "socket.",
    "ctypes.",
    "signal.",
)
"""Audit events that no small coding task needs; a final dot means all below."""

_CHANGES_A_PATH = {
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "os.utime",
    "shutil.rmtree",
}
_RAN = ("solution.py", "tests.py")
_READ_ALSO = ("/usr/share/zoneinfo", "/dev/null", "/dev/urandom")


def limit(cpu_s: int, memory_bytes: int) -> None:
    """Ask the kernel for what it offers; the audit hook does not depend on it."""
    try:
        import resource  # noqa: PLC0415  # Windows has none
    except ImportError:
        return
    wanted = {
        "RLIMIT_CPU": cpu_s,
        "RLIMIT_AS": memory_bytes,
        "RLIMIT_FSIZE": 1_000_000,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
        # Threads count too, and root is not bound by it at all.
        "RLIMIT_NPROC": 256,
    }
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)  # noqa: PLW2901  # it may only sink
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            continue


def guard(folder: str) -> None:
    """Refuse processes, sockets, and files outside `folder` and the interpreter."""
    readable = tuple(
        os.path.realpath(path)
        for path in (
            folder,
            sys.base_prefix,
            sys.prefix,
            os.__file__ + "/..",
            *_READ_ALSO,
        )
    )

    def inside(path: object, roots: tuple[str, ...]) -> bool:
        if isinstance(path, int):
            return True
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return any(real == root or real.startswith(root + os.sep) for root in roots)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event} is not allowed in here")
        if event in _CHANGES_A_PATH and not inside(args[0], readable[:1]):
            raise PermissionError(f"{event} is not allowed outside this folder")
        if event == "open" and args[0] is not None:
            path, _, flags = args
            writes = isinstance(flags, int) and flags & (
                os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            )
            if not inside(path, readable[:1] if writes else readable):
                raise PermissionError("files outside this folder are not allowed")

    sys.addaudithook(hook)


def run(code: str, tests: list[str]) -> str | None:
    """Run the solution and its tests; return what went wrong, or None."""
    names: dict[str, object] = {"__name__": "solution"}
    try:
        exec(_compiled(code, _RAN[0]), names)  # noqa: S102  # what we are for
    except BaseException as error:  # noqa: BLE001  # SystemExit is a failure too
        return _told(error)
    for test in tests:
        try:
            exec(_compiled(test, _RAN[1]), names)  # noqa: S102
        except AssertionError as error:
            return f"{test}\nfailed{_instead(test, names) or f': {error}'}"
        except BaseException as error:  # noqa: BLE001
            return f"{test}\nfailed:\n{_told(error)}"
    return None


def _compiled(source: str, name: str) -> CodeType:
    lines = source.splitlines(keepends=True)
    linecache.cache[name] = (len(source), None, lines, name)
    return compile(source, name, "exec")


def _told(error: BaseException) -> str:
    """Return the traceback with the solution's and the tests' frames only."""
    told = traceback.TracebackException.from_exception(error)
    own = [frame for frame in told.stack if frame.filename in _RAN]
    told.stack = traceback.StackSummary.from_list(own[-3:])
    return "".join(told.format(chain=False)).strip()


def _instead(test: str, names: dict[str, object]) -> str | None:
    """Say what the tested expression gave; an `assert a == b` alone never does."""
    try:
        statement = ast.parse(test).body[-1]
        if not isinstance(statement, ast.Assert):
            return None
        asked = statement.test
        if isinstance(asked, ast.Compare):
            asked = asked.left
        source = ast.unparse(asked)
        value = eval(source, names)  # noqa: S307  # the same code as a line above
        return f": {source} gave {repr(value)[:300]}"
    except BaseException:  # noqa: BLE001  # a second run may fail in other ways
        return None


def main() -> None:
    """Read the job, run it, print the token last; end without any exit handler."""
    job = json.loads(sys.stdin.buffer.read())
    wire = os.dup(1)
    limit(job["cpu_s"], job["memory_bytes"])
    guard(os.getcwd())  # noqa: PTH109  # the parent made it
    failure = run(job["code"], job["tests"])
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        failure = failure or "the solution closed its output"
    last = f"\n{failure}\n" if failure else f"\n{job['token']}\n"
    os.write(wire, last.encode(errors="replace"))
    os._exit(1 if failure else 0)


if __name__ == "__main__":
    main()
