import os
import pwd
from pathlib import Path

import pytest

from ask_expert.files import read_files, shown
from ask_expert.question import Attachment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_text("one\ntwo\nthree\n")
    (tmp_path / "secret.txt").write_text("not yours")
    return folder


def read(project: Path, *paths: str, **more: object) -> tuple[Attachment, ...]:
    fields: dict[str, object] = {"folders": (), "max_bytes": 1000, **more}
    return read_files(paths, project=project, **fields)  # pyright: ignore[reportArgumentType]


def why(project: Path, path: str, **more: object) -> str:
    (attachment,) = read(project, path, **more)
    assert attachment.text is None
    return attachment.left_out or ""


@pytest.mark.parametrize(
    ("named", "text"),
    [
        ("a.py", "one\ntwo\nthree\n"),
        ("./a.py", "one\ntwo\nthree\n"),
        ("a.py:2", "two\n"),
        ("a.py:2-3", "two\nthree\n"),
        ("a.py:0-1", "one\n"),
        ("a.py:2-99", "two\nthree\n"),
    ],
)
def test_a_file_or_some_of_its_lines_are_read(
    project: Path, named: str, text: str
) -> None:
    assert read(project, named) == (Attachment(path=named, text=text),)


@pytest.mark.parametrize(
    "named",
    [
        "../secret.txt",
        "/etc/hostname",
        "/proc/self/environ",
        "~/.bashrc",
        "a/../../secret.txt",
    ],
)
def test_what_lies_outside_stays_here(project: Path, named: str) -> None:
    assert "outside the working folder" in why(project, named)


def test_a_link_out_of_the_folder_stays_here(project: Path, tmp_path: Path) -> None:
    (project / "link").symlink_to(tmp_path / "secret.txt")
    (project / "folder").symlink_to(tmp_path)

    assert "outside" in why(project, "link")
    assert "outside" in why(project, "folder/secret.txt")


def test_a_folder_that_the_settings_allow_is_read(
    project: Path, tmp_path: Path
) -> None:
    found = read(project, str(tmp_path / "secret.txt"), folders=(tmp_path,))

    assert found[0].text == "not yours"


@pytest.mark.parametrize("whole", [Path("/"), Path.home()])
def test_a_server_started_in_the_root_or_home_folder_has_no_working_folder(
    whole: Path, project: Path
) -> None:
    assert "outside" in why(whole, str(project / "a.py"))


def test_a_server_started_above_the_home_folder_has_no_working_folder(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "homes" / "me"))

    assert "outside" in why(tmp_path, str(project / "a.py"))
    assert read(project, "a.py")[0].text is not None


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        "prod.env",
        "id_rsa",
        "server.pem",
        ".npmrc",
        "x.tfstate",
        "hosts.yml",
        ".bash_history",
        ".vault-token",
        "putty.ppk",
        ".boto",
        ".s3cfg",
        "application_default_credentials.json",
    ],
)
def test_a_file_that_holds_keys_never_leaves(project: Path, name: str) -> None:
    (project / name).write_text("X")

    assert why(project, name) == "is a file that never leaves"


def test_a_harmless_name_that_links_to_a_key_never_leaves(project: Path) -> None:
    (project / ".env").write_text("X")
    (project / "notes.txt").symlink_to(project / ".env")

    assert why(project, "notes.txt") == "is a file that never leaves"


@pytest.mark.parametrize("tool", ["gh", "gcloud"])
def test_configuration_that_holds_tokens_never_leaves(project: Path, tool: str) -> None:
    folder = project / ".config" / tool
    folder.mkdir(parents=True)
    (folder / "some.txt").write_text("X")
    (project / tool).mkdir()
    (project / tool / "code.py").write_text("ours\n")

    assert why(project, f".config/{tool}/some.txt") == "is a file that never leaves"
    assert read(project, f"{tool}/code.py")[0].text == "ours\n"


@pytest.mark.parametrize("named", ["~nosuchuser/x", "\ud800", "a\0b", " "])
def test_what_can_be_no_path_is_left_out(project: Path, named: str) -> None:
    assert why(project, named) == "is no path"


def test_without_a_home_folder_the_working_folder_is_read(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty HOME, and a uid that no list of users knows, as in a container.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", _nobody)

    found = read(project, "a.py", "~/x", folders=(Path("~/shared"),))

    assert found[0].text == "one\ntwo\nthree\n"
    assert found[1].left_out == "is no path"


def _nobody(uid: int) -> None:
    raise KeyError(uid)


def test_git_folders_never_leave(project: Path) -> None:
    (project / ".git").mkdir()
    (project / ".git" / "config").write_text("url")

    assert why(project, ".git/config") == "is a file that never leaves"


def test_folders_pipes_binaries_and_missing_files_are_left_out(project: Path) -> None:
    os.mkfifo(project / "pipe")
    (project / "blob").write_bytes(b"a\0b")

    assert why(project, "blob") == "is a binary file"
    assert why(project, ".") != ""
    assert why(project, "pipe") == "is no regular file"
    assert why(project, "none.py") == "No such file or directory"
    assert why(project, "a.py:7-9") == "has no such lines"
    assert why(project, "a\0b") == "is no path"


def test_files_share_one_size_limit(project: Path) -> None:
    (project / "big.txt").write_text("x" * 990)

    found = read(project, "big.txt", "a.py")

    assert found[0].text is not None
    assert "too large" in (found[1].left_out or "")


def test_a_file_that_is_too_large_is_told_with_lines_that_would_fit(
    project: Path,
) -> None:
    lines = [f"line {number}\n" for number in range(1, 1001)]
    (project / "big.txt").write_text("".join(lines))

    reason = why(project, "big.txt")
    later = why(project, "big.txt:500-1000")

    assert reason == (
        "is too large: 8,893 bytes, 1,000 are left; name the lines that matter: "
        "`path:1-123` would fit"
    )
    assert read(project, "big.txt:1-123")[0].text == "".join(lines[:123])
    assert why(project, "big.txt:1-124") != ""
    assert "`path:500-610` would fit" in later
    assert read(project, "big.txt:500-610")[0].text == "".join(lines[499:610])


def test_a_line_that_is_too_large_has_nothing_that_would_fit(project: Path) -> None:
    (project / "long.txt").write_text("x" * 2000)

    assert why(project, "long.txt") == (
        "is too large: 2,000 bytes, 1,000 are left, and its line 1 alone does not "
        "fit; paste what matters"
    )


@pytest.mark.parametrize(
    ("named", "as_shown"),
    [
        ("a.py", "a.py"),
        ("a.py:10-80", "a.py (lines 10-80)"),
        ("a.py:7", "a.py (line 7)"),
    ],
)
def test_lines_are_shown_in_words(named: str, as_shown: str) -> None:
    assert shown(named) == as_shown
