"""What a local model's server can give, for people; it is tried once and kept."""

from collections.abc import Mapping
from pathlib import Path

import anyio

from ask_expert.assessing import local_key
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.errors import AskExpertError
from ask_expert.experts.http import new_client
from ask_expert.local.client import LocalModel
from ask_expert.local.probe import Capabilities, probed
from ask_expert.local_settings import LocalSettings

_WITHIN_S = 30.0


def abilities(
    local: LocalSettings, *, home: Path, environ: Mapping[str, str]
) -> tuple[bool, str]:
    """Return whether a server could be tried, and what it gives and lacks."""
    try:
        can = anyio.run(_probed, local, home, environ)
    except AskExpertError as error:
        return False, f"cannot be tried: {error}"
    except TimeoutError:
        return False, f"cannot be tried: no answer within {_WITHIN_S:g} s"
    return True, _text(can)


async def _probed(
    local: LocalSettings, home: Path, environ: Mapping[str, str]
) -> Capabilities:
    key = local_key(local, environ)
    async with new_client() as client:
        model = LocalModel(client, base_url=local.base_url, model=local.model, key=key)
        with anyio.fail_after(_WITHIN_S):
            return await probed(model, home=home)


def _text(can: Capabilities) -> str:
    off = [signal.name for signal in SIGNALS.values() if signal.missing(can)]
    lacks = "; ".join(f"{name} ({why})" for name, why in can.lacking.items())
    parts = [f"{can.server} gives {', '.join(can.gives) or 'plain answers alone'}"]
    parts += [f"lacks {lacks}"] if lacks else []
    parts += [f"so these signals are off: {', '.join(off)}"] if off else []
    return "; ".join(parts)
