"""JSON documents that people read and thousands are written of: specs and manifests.

Standard library only: jobs read and write them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# the quick encoder of json, which does not indent; made once
_text = json.JSONEncoder(sort_keys=True).encode


def document(content: Mapping[str, Any]) -> str:
    """Return an object as JSON: sorted, a line a field, and a line each of a list's objects."""
    lines = (f"{_text(key)}: {_value(content[key])}" for key in sorted(content))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value(value: Any) -> str:
    """Return a field's value; a list of objects by one call, which is then cut into lines."""
    text = _text(value)
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict) and value[0]:
        # a quote before a letter opens a text, so that this stands in none
        begin = f'{{"{min(value[0])}'
        text = "[\n" + text[1:-1].replace(f"}}, {begin}", f"}},\n{begin}") + "\n]"
    return text
