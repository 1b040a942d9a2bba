"""Keep calibrations in the home folder: read, and written whole or not at all."""

import os
from pathlib import Path
from tempfile import mkstemp

from ask_expert.confidence.calibration.document import Document, parse
from ask_expert.errors import ConfigError

NAME = "calibration.json"


def load(home: Path) -> Document:
    """
    Return the calibrations of a home folder; an empty document where there are none.

    Raises:
        ConfigError: The file cannot be read, or is no calibration of this version.
    """
    path = home / NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Document()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(str(error), file=path) from error


def save(home: Path, document: Document) -> Path:
    """
    Write the calibrations, for their user only; a reader sees the old or the new file.

    Raises:
        ConfigError: They cannot be written.
    """
    path = home / NAME
    draft: str | None = None
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = mkstemp(prefix=f".{NAME}.", dir=home)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(document.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError as error:
        if draft is not None:
            Path(draft).unlink(missing_ok=True)
        why = error.strerror or error
        raise ConfigError(f"cannot be written: {why}", file=path) from error
    return path
