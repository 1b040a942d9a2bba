from pathlib import Path

from ask_expert.policy.presets import PRESETS
from ask_expert.report import policies


def test_every_preset_is_listed_with_one_line(tmp_path: Path) -> None:
    listed = policies.presets_with_summaries()

    assert [name for name, _ in listed] == list(PRESETS)
    assert all(line and not line.startswith(name) for name, line in listed)


def test_the_replay_has_a_column_a_preset_and_a_row_a_question(tmp_path: Path) -> None:
    head, *rows = policies.replay_cells(
        policies.replayed([], questions=None, folder=tmp_path)
    )

    assert head == ("question", *PRESETS)
    assert rows
    assert {len(row) for row in rows} == {len(PRESETS) + 1}


def test_free_experts_need_no_budget_in_usd(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\notherwise: escalate\n")
    free = "price: {input_per_mtok: 0, output_per_mtok: 0}"
    expert = "name: own, api: openai_chat, model: m"

    found: list[list[str]] = []
    for price in (f", {free}", ""):
        settings = f"experts: [{{{expert}{price}}}]\n"
        (tmp_path / "settings.yaml").write_text(settings)
        findings = policies.findings(
            "mine.yaml", folder=tmp_path, home=tmp_path, environ={}
        )
        found.append([each.rule for each in findings])

    assert found == [[], ["budgets"]]
