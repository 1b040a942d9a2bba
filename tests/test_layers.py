"""The architecture, as a test: imports point down the page only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ask_expert"

LAYERS = [
    {"money", "errors", "question", "reply", "answer_block", "advice"},
    {"home", "yaml_file", "ledger_address", "settings", "settings_file", "files"}
    | {"local_settings", "settings_edit"},
    {"redaction"},
    {"periods", "window_keys", "limits", "budget", "breaker", "access", "forecast"},
    {"ledger"},
    {"experts"},
    {"local"},
    {"confidence"},
    {"policy"},
    {
        *("house", "intake", "casework", "assessing", "replies", "preview"),
        *("local_first", "local_tools"),
        *("in_flight", "budget_log", "escalation", "reconciliation", "upkeep"),
    },
    {"gain"},
    {"report"},
    {"evaluation"},
    {"dashboard", "observer", "mcp_server"},
    {"cli", "__init__", "__main__"},
]
"""From the ground floor up, in the order of the page; faces share one floor."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FACES = LAYERS[-2]
PURE = [
    "breaker.py",
    "budget.py",
    "forecast.py",
    "limits.py",
    "periods.py",
    "window_keys.py",
    "experts/ladder.py",
    "experts/panel.py",
    "policy/decide.py",
    "policy/budget_text.py",
    "policy/budgets.py",
    "policy/document.py",
    "policy/local_system.py",
    "policy/check.py",
    "policy/simulate.py",
    "policy/situations.py",
    "confidence/assess.py",
    *(
        f"confidence/calibration/{name}.py"
        for name in (
            "calibrate",
            "combine",
            "document",
            "drift",
            "fit",
            "folds",
            "gate",
            "guarantee",
            "metrics",
        )
    ),
    *(
        f"evaluation/replay/{name}.py"
        for name in (
            "bootstrap",
            "curve",
            "decision",
            "features",
            "forms",
            "learners",
            "run",
        )
    ),
    "confidence/measured.py",
    "confidence/prompts.py",
    "confidence/votes.py",
    "gain/aipw.py",
    "gain/asymptotic.py",
    "gain/betting.py",
    "gain/bootstrap.py",
    "gain/bounds.py",
    "gain/contrast.py",
    "gain/empirical_bernstein.py",
    "gain/enough.py",
    "gain/estimate.py",
    "gain/fieller.py",
    "gain/hajek.py",
    "gain/headline.py",
    "gain/hold_out.py",
    "gain/icer.py",
    "gain/ipw.py",
    "gain/mcnemar.py",
    "gain/net_benefit.py",
    "gain/newcombe.py",
    "gain/observations.py",
    "gain/paired.py",
    "gain/rates.py",
    "gain/recovered.py",
    "gain/regret.py",
    "gain/scores.py",
    "gain/sequence.py",
    "gain/verdict.py",
    "gain/wilson.py",
]
IMPURE = {"httpx2", "socket", "subprocess", "sqlalchemy", "time", "random", "secrets"}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Yield the dotted name of every import, however it is written."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module="ask_expert", names=aliases):
                yield from (f"ask_expert.{alias.name}" for alias in aliases)
            case ast.ImportFrom(module=str(name)):
                yield name
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case _:
                continue


def room(dotted: str) -> str | None:
    package, _, rest = dotted.partition(".")
    return rest.split(".")[0] if package == "ask_expert" and rest else None


def own_room(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_down(module: Path) -> None:
    own = RANK[own_room(module)]  # a KeyError: place the new room in LAYERS
    source = (PACKAGE / module).read_text(encoding="utf-8")

    rooms = [found for name in imported(source) if (found := room(name))]
    upward = [name for name in rooms if RANK[name] > own]

    assert upward == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_face_never_imports_another_face(module: Path) -> None:
    own = own_room(module)
    source = (PACKAGE / module).read_text(encoding="utf-8")

    rooms = {room(name) for name in imported(source)}

    assert own not in FACES or rooms & FACES <= {own}


@pytest.mark.parametrize("name", PURE)
def test_what_must_be_replayable_touches_no_network_and_no_clock(name: str) -> None:
    source = (PACKAGE / name).read_text(encoding="utf-8")

    roots = {dotted.split(".")[0] for dotted in imported(source)}

    assert roots & IMPURE == set()
    assert ".now(" not in source


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_file_is_longer_than_400_lines(module: Path) -> None:
    lines = (PACKAGE / module).read_text(encoding="utf-8").count("\n")

    assert lines <= 400


def test_the_http_library_is_imported_in_one_module() -> None:
    users = [
        str(module)
        for module in MODULES
        for name in imported((PACKAGE / module).read_text(encoding="utf-8"))
        if name.split(".")[0] in {"httpx", "httpx2"}
    ]

    assert users == ["experts/http.py"]
