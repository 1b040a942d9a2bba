"""Find and read a policy: a preset by its name, or a file."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.home import expanded
from ask_expert.policy.document import Policy

PRESETS = ("frugal", "balanced", "quality", "human_in_the_loop", "research_holdout")

_SUFFIXES = {".yaml", ".yml"}


def load(name_or_path: str, *, home: Path) -> Policy:
    """
    Read a preset by name, else the policy file at that path.

    Args:
        name_or_path: A name from `PRESETS`, or a path.
        home: Where relative paths start.

    Raises:
        ConfigError: There is no such preset or file, or the file is wrong.
    """
    if name_or_path in PRESETS:
        source = preset(name_or_path)
        text = source.read_text(encoding="utf-8")
        return yaml_file.parse(text, Policy, file=Path(str(source)))
    path = home / expanded(Path(name_or_path))
    if not _looks_like_a_path(name_or_path) and not path.exists():
        hint = yaml_file.nearest(name_or_path, [*PRESETS])
        raise ConfigError(f"there is no policy {name_or_path!r}; {hint}")
    return yaml_file.read(path, Policy)


def preset(name: str) -> Traversable:
    """
    Return the file of a preset, comments and all.

    A wheel holds the presets inside the package; a checkout keeps them beside it,
    where people look for them.

    Raises:
        ConfigError: The installation lacks the file.
    """
    package = files("ask_expert")
    beside = Path(str(package)).parent / "policies"
    for folder in (package / "policies", beside):
        file = folder / f"{name}.yaml"
        if file.is_file():
            return file
    raise ConfigError(f"the preset {name!r} is missing from this installation")


def _looks_like_a_path(text: str) -> bool:
    return "/" in text or "\\" in text or Path(text).suffix in _SUFFIXES
