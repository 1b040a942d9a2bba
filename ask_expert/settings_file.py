"""Load the settings: the file in the home folder, then `ASK_EXPERT_*`, then flags."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from ask_expert import ledger_address, yaml_file
from ask_expert.errors import ConfigError
from ask_expert.settings import Settings

FILE_NAME = "settings.yaml"


class _Environment(Settings, BaseSettings):
    """The settings' fields, as `ASK_EXPERT_POLICY` or `ASK_EXPERT_LOG__LEVEL`."""


def load(home: Path, *, flags: Mapping[str, object] | None = None) -> Settings:
    """
    Return the settings in force.

    Args:
        home: Folder with `settings.yaml`; without that file, defaults hold.
        flags: Values from the command line; None values are ignored.

    Raises:
        ConfigError: The file, a variable or a flag is wrong.
    """
    file = home / FILE_NAME
    settings = yaml_file.read(file, Settings) if file.exists() else Settings()
    if settings.ledger is not None and ledger_address.password(settings.ledger):
        raise ConfigError(
            "must hold no password; set PGPASSWORD, use ~/.pgpass, or put the whole "
            "address into ASK_EXPERT_LEDGER",
            file=file,
            key="ledger",
        )
    data: dict[str, object] = settings.model_dump(exclude_unset=True)
    try:
        data = _merged(data, _variables())
        settings = yaml_file.validate(data, Settings)
    except ConfigError as error:
        raise ConfigError(f"the ASK_EXPERT_* variables: {error}") from error
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    return yaml_file.validate(_merged(data, given), Settings)


def _variables() -> dict[str, object]:
    source = EnvSettingsSource(
        _Environment,
        case_sensitive=False,
        env_prefix="ASK_EXPERT_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )
    try:
        return source()
    except SettingsError as error:
        raise ConfigError(str(error)) from error


def _merged(
    below: Mapping[str, object], above: Mapping[str, object]
) -> dict[str, object]:
    merged = dict(below)
    for name, value in above.items():
        lower = merged.get(name)
        if isinstance(value, Mapping) and isinstance(lower, Mapping):
            merged[name] = _merged(
                cast("Mapping[str, object]", lower), cast("Mapping[str, object]", value)
            )
        else:
            merged[name] = value
    return merged
