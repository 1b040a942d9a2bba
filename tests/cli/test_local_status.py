"""`ask-expert local status`, on servers of several kinds."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import yaml

from tests.cli.running import ask_expert

METRICS = Path(__file__).parents[1] / "local" / "recorded" / "vllm-0.32-metrics.txt"
MODELS = {"data": [{"id": "qwen", "max_model_len": 8192}, {"id": "lora"}]}
KEY = "not-a-real-key-0123456789"


@contextmanager
def pages(
    texts: Mapping[str, str], *, key: str | None = None, health: int = 200
) -> Generator[str]:
    """Serve pages; the second reading of `/metrics` counts 1,000 tokens more."""
    readings = [0]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text, status = texts.get(self.path, ""), 200
            if key and self.headers["authorization"] != f"Bearer {key}":
                status = 401
            elif self.path not in texts:
                status = 404
            elif self.path == "/health":
                status = health
            elif self.path == "/metrics":
                readings[0] += 1
                text = text.replace(" 574.0", f" {574 + 1000 * (readings[0] - 1)}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


VLLM = {
    "/health": "",
    "/v1/models": json.dumps(MODELS),
    "/metrics": METRICS.read_text(),
}


def settings(home: Path, local: object) -> None:
    home.mkdir(exist_ok=True)
    (home / "settings.yaml").write_text(yaml.safe_dump({"local": local}))


def test_vllm_tells_its_queue_its_cache_and_its_speed(home: Path) -> None:
    with pages(VLLM, key=KEY) as url:
        settings(home, {"base_url": url, "model": "qwen", "key_env": "LOCAL_KEY"})
        done = ask_expert(
            *("local", "status", "--seconds", "0.2", "--json"),
            environ={"LOCAL_KEY": KEY},
        )

    assert done.status == 0, done.err
    (found,) = json.loads(done.out)
    assert (found["answers"], found["healthy"], found["sound"]) == (True, True, True)
    assert (found["models"], found["window"]) == (["qwen", "lora"], 8192)
    assert found["metrics"]["running"] == 11
    assert found["metrics"]["hit_rate"] == 0
    assert found["lacking"] == {}
    rates = found["rates"]
    assert rates["seconds"] >= 0.2
    assert abs(rates["output_tokens_per_s"] * rates["seconds"] - 1000) < 1e-6
    assert KEY not in done.out + done.err


def test_several_servers_are_shown_with_what_each_does_not_tell(home: Path) -> None:
    ollama = {"/v1/models": json.dumps({"data": [{"id": "llama"}]})}
    with pages(VLLM) as first, pages(ollama) as second, pages(VLLM) as third:
        settings(
            home,
            [
                {"base_url": first, "model": "qwen", "name": "box"},
                {"base_url": second, "model": "llama", "name": "ollama"},
                {"base_url": third, "model": "mistral", "name": "other"},
                {"base_url": "http://127.0.0.1:9/v1", "model": "m", "name": "off"},
            ],
        )
        done = ask_expert("local", "status", "--seconds", "0.1")

    assert done.status == 1
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    cells = ["healthy", "11", "running,", "0", "waiting", "1.6%", "0.0%"]
    assert rows["box"].split()[2:-1] == cells
    assert rows["ollama"].split()[2:] == ["answers", "-", "-", "-", "-"]
    assert "OTHER MODEL" in rows["other"]
    assert "DOWN" in rows["off"]
    assert "ollama: not known: the server has no /metrics" in done.out
    assert "ollama: not known: the server has no /health" in done.out
    assert "other: it serves qwen, lora, not mistral" in done.out
    assert "off: not known: http://127.0.0.1:9/health cannot be reached" in done.out
    assert "box: window of 8,192 tokens" in done.out


def test_a_server_that_says_it_is_ill_is_not_sound(home: Path) -> None:
    with pages(VLLM, health=503) as url:
        settings(home, {"base_url": url, "model": "qwen"})
        done = ask_expert("local", "status", "--seconds", "0.1")

    assert done.status == 1
    assert "UNHEALTHY" in done.out
    assert "answered HTTP 503" in done.out


def test_pages_that_make_no_sense_are_said_to(home: Path) -> None:
    odd = {"/health": "ok", "/v1/models": '{"data": [3]}', "/metrics": "<html>"}
    with pages(odd) as url:
        settings(home, {"base_url": url, "model": "qwen"})
        done = ask_expert("local", "status", "--seconds", "0.1")

    assert done.status == 0
    assert "its list of models cannot be read" in done.out
    assert "its /metrics holds nothing that is known here" in done.out


def test_without_a_local_model_the_remedy_is_said(home: Path) -> None:
    done = ask_expert("local", "status")

    assert done.status == 0
    assert "give `local:` in settings.yaml" in done.out
