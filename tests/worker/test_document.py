"""The documents that specs and manifests are: what goes in comes out, whatever the texts hold."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from snfpipe.worker.document import document

# brackets, quotes and letters, such as a document is cut into lines at
texts = st.text(st.sampled_from('{}[]",: \\\nab')) | st.text(max_size=20)
objects = st.dictionaries(st.sampled_from(["a", "b", "item"]), texts | st.lists(texts), max_size=3)


@given(st.dictionaries(st.sampled_from(["one", "two"]), texts | st.lists(objects) | objects))
def test_a_document_is_the_json_of_its_content(content: dict[str, object]) -> None:
    assert json.loads(document(content)) == content


def test_each_object_of_a_list_has_a_line_of_its_own() -> None:
    text = document({"items": [{"a": "x}, {"}, {"a": "y"}], "unit": "06_334"})
    assert text.splitlines() == [
        "{", '"items": [', '{"a": "x}, {"},', '{"a": "y"}', "],", '"unit": "06_334"', "}",
    ]  # fmt: skip
