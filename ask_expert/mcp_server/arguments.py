"""Arguments that do not fit, in sentences that a weak model can act on."""

from typing import cast

from pydantic import ValidationError

_MOST_NAMED = 3
_WANTED = {
    "string": "must be text",
    "list": "must be a list of texts",
    "float": "must be a number",
    "finite": "must be a number",
    "bool": "must be true or false",
}
_JSON_NAMES: dict[type[object], str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def misfits(error: ValidationError) -> str:
    """Return what is wrong with which argument; the values are not repeated."""
    sentences: dict[str, None] = {}
    for each in error.errors(include_url=False, include_context=False):
        name, *inside = (str(part) for part in each["loc"])
        shown = f"item {int(inside[0]) + 1} of `{name}`" if inside else f"`{name}`"
        if each["type"] == "missing":
            sentences[f"{shown} is missing."] = None
            continue
        wanted = _WANTED.get(each["type"].partition("_")[0], "cannot be used as it is")
        kind = cast("type[object]", type(each["input"]))
        given = _JSON_NAMES.get(kind, "something else")
        # A number of 400 digits is one, and fits nowhere.
        but = "" if given in wanted else f", not {given}"
        sentences[f"{shown} {wanted}{but}."] = None
    return " ".join([*sentences][:_MOST_NAMED])
