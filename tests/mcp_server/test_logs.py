"""What the server writes to standard error holds no secret, and says what broke."""

import subprocess
import sys

KEY = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


def written(code: str) -> str:
    """Return what a fresh process logs."""
    program = f"import logging\nfrom ask_expert.mcp_server import logs\n{code}\n"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_a_key_is_masked_before_the_settings_are_read() -> None:
    shown = written(
        f"logs.configure()\nlogs.log().error('cannot serve', error={KEY!r})"
    )

    assert "cannot serve" in shown
    assert "SECRET:github_pat" in shown
    assert KEY not in shown


def test_the_trace_of_what_broke_is_logged_and_masked() -> None:
    shown = written(
        "logs.configure()\n"
        "def culprit(): raise KeyError(" + repr(KEY) + ")\n"
        "try: culprit()\n"
        "except KeyError: logging.getLogger('mcp').exception('broke')"
    )

    assert "ERROR mcp: broke" in shown
    assert "in culprit" in shown
    assert "«SECRET:github_pat»" in shown
    assert KEY not in shown
