"""The README's table of figures is that of the results, and nothing else of the page is touched."""

from pathlib import Path

import pytest


def test_the_figures_of_the_readme_are_those_of_the_results(repository: Path, module):
    tables = module("tables")
    results, readme = tables.read_results(tables.DOCS / "results"), repository / "README.md"

    assert tables.front_page(readme.read_text(), results) == readme.read_text()


def test_other_results_give_other_figures(repository: Path, module):
    tables = module("tables")
    results, readme = tables.read_results(tables.DOCS / "results"), repository / "README.md"
    (served,) = (result for result in results if "serving" in result)
    served["clients"] = 7

    assert "; 7 clients together" in tables.front_page(readme.read_text(), results)


def test_only_what_is_between_the_marks_is_written(module):
    front = module("front_page")
    page = f"# A\n{front.BEGIN}\nold\n{front.END}\nB\n"

    written = front.with_figures(page, "| new |\n")

    assert written == f"# A\n{front.BEGIN}\n\n| new |\n\n{front.END}\nB\n"
    assert front.with_figures(written, "| new |\n") == written


def test_a_page_without_its_marks_is_refused(module):
    front = module("front_page")
    page = f"# A\n{front.BEGIN}\nold\n{front.END}\nB\n"

    for broken in ("# A\n", page.replace(front.END, ""), page + front.BEGIN, page + front.END):
        with pytest.raises(ValueError, match=r"README\.md: needs the lines"):
            front.with_figures(broken, "| new |\n")
