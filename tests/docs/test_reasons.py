"""docs/table.md names each reason that a row can have, and no other."""

import re

from documents import PAGES, REPOSITORY

#: Of lists of images to learn from; no row has it.
_OF_LISTS = {"not_as_listed"}
_RAISED = re.compile(r'ImageError\(\s*"(\w+)"|errno\.\w+: \("(\w+)"|reason = "(\w+)" if')
_JUDGED = re.compile(r'"(?:uncertain|rejected|blank)",\s*"(\w+)"')


def test_the_reasons_on_the_page_are_those_of_the_code():
    raised, judged = set(), set()
    for file in (REPOSITORY / "digitflow").rglob("*.py"):
        text = file.read_text()
        raised |= {name for found in _RAISED.findall(text) for name in found if name}
        if file.name == "judging.py":
            judged |= {*_JUDGED.findall(text)}
    table = PAGES["docs/table.md"].read_text().partition("## Status and reason")[2]
    rows = re.findall(r"^\| [^|]*\| ([^|]*) \|", table.partition("\n## ")[0], re.MULTILINE)
    named = {*re.findall(r"`(\w+)`", " ".join(rows))}

    assert len(judged) == 5
    assert named == (raised | judged) - _OF_LISTS
