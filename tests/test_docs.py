"""The documentation: every page can be followed, shows what is printed, and leads nowhere that is not there."""

import html
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from docs.blocks import Block, Reader, blocks_of, check_command, check_recipe, pictures_of, rewritten, shape_of
from docs.build import MADE, make_pages, render
from tests.test_house import COMMANDS
from tribetune.errors import RecipeError
from tribetune.shipped import shipped_recipes

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {path.stem: path for path in sorted(DOCS.glob("*.md"))}
SLOW = {"first-hour"}
ALIKE = 0.005
"""Mean difference of two pictures, from 0 to 1: drawn again it is .001, scores of another test run differ by .014."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The pages as they are built from, with what is made from the program."""
    folder = tmp_path_factory.mktemp("pages") / "docs"
    make_pages(folder)
    return folder


@pytest.fixture(scope="module")
def site(made, tmp_path_factory) -> Path:
    """All of it as HTML."""
    folder = tmp_path_factory.mktemp("site")
    render(made, folder)
    return folder


def unused(words) -> str:
    """Runs a command where a page has none to run."""
    raise AssertionError(words)


def article(path: Path) -> str:
    """A page's own part of its HTML."""
    return re.search(r"<article.*?</article>", path.read_text(encoding="utf-8"), flags=re.S)[0]


def read(markup: str) -> str:
    """What a reader sees of it, code left out."""
    prose = re.sub(r"<(pre|code)\b.*?</\1>", " ", markup, flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", " ", prose))


def test_there_is_a_page_for_everything_that_was_promised():
    promised = {"install", "first-hour", "concepts", "how-to", "python", "cli", "design", "faq"}
    assert promised | {"index"} == PAGES.keys()


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in PAGES])
def test_a_page_can_be_followed_and_shows_what_is_printed(name, tribetune, tmp_path):
    page = PAGES[name].read_text(encoding="utf-8")

    def run(words) -> str:
        result = tribetune(*words)
        assert result.exit_code == 0, f"{words}: {result.output}"
        return result.stdout

    reader = Reader(tmp_path, run)
    reader.follow(blocks_of(page))
    shown = [block for block in blocks_of(page) if block.language == "text" and not block.title]
    assert [shape_of(text) for text in reader.printed] == [shape_of(block.body) for block in shown]
    for picture, source in pictures_of(page).items():
        assert difference(DOCS / picture, reader.folder / source) < ALIKE, picture


def difference(shown: Path, drawn: Path) -> float:
    """Of two pictures, each as small and grey as it takes to compare them."""
    from PIL import Image

    greys = []
    for path in (shown, drawn):
        with Image.open(path) as picture:
            greys.append(np.asarray(picture.convert("L").resize((100, 60)), float) / 255)
    return float(np.abs(greys[0] - greys[1]).mean())


def test_the_first_hour_begins_with_a_clone_and_ends_with_an_adapter_and_its_picture():
    page = PAGES["first-hour"].read_text(encoding="utf-8")
    commands = [words for block in blocks_of(page) if block.language == "sh" for words in block.commands]
    assert commands[0][:2] == ["git", "clone"]
    assert ["make", "setup"] in commands
    adapt = next(words for words in commands if words[:2] == ["tribetune", "adapt"])
    run = adapt[adapt.index("--out") + 1]
    assert pictures_of(page)["pictures/scores.png"] == f"{run}/scores.png"
    assert f'load_adapter("{run}/adapter")' in page


def test_pictures_are_small_and_each_is_drawn_by_a_page_that_is_followed():
    drawn = {name for path in PAGES.values() for name in pictures_of(path.read_text(encoding="utf-8"))}
    there = {f"pictures/{path.name}" for path in (DOCS / "pictures").iterdir()}
    assert drawn == there
    assert len(drawn) >= 2
    for name in drawn:
        assert (DOCS / name).stat().st_size < 200_000, name


def test_every_picture_and_every_page_that_a_page_names_is_there(site):
    n_links = 0
    for path in site.glob("*.html"):
        if path.name == "404.html":
            continue
        for link in re.findall(r'(?:src|href)="([^"#]+)', article(path)):
            if not link.startswith(("http", "mailto")):
                n_links += 1
                assert (path.parent / link).is_file(), f"{path.name}: {link}"
    assert n_links > 15


def test_the_readme_leads_to_pages_and_sections_that_are_there(site):
    links = re.findall(
        r"\]\(docs/([\w-]+)\.md(?:#([\w-]+))?\)", (DOCS.parent / "README.md").read_text(encoding="utf-8")
    )
    assert len(links) >= 3
    for name, section in links:
        assert not section or f'id="{section}"' in article(site / f"{name}.html"), section


def test_a_link_that_leads_nowhere_stops_the_build(made, tmp_path):
    broken = shutil.copytree(made, tmp_path / "docs")
    with (broken / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](concepts.md#nowhere)\n")
    with pytest.raises(RuntimeError, match=r"faq\.md"):
        render(broken, tmp_path / "site")


def test_pages_fetch_nothing(site):
    pages = list(site.glob("*.html"))
    assert len(pages) >= len(PAGES)
    for path in pages:
        fetched = re.findall(
            r'<(?:script|img|link)\b[^>]*(?:src|href)="(https?:[^"]+)"', path.read_text(encoding="utf-8")
        )
        assert not fetched, path.name


@pytest.mark.parametrize("name", PAGES)
def test_no_markup_is_left_in_what_is_read(name, site):
    shown = read(article(site / f"{name}.html"))
    assert len(shown) > 300
    for raw in ("```", "|--", "](", "**", "<!--", ":::", "| what |", "{ #"):
        assert raw not in shown, raw


def test_every_command_has_its_section_with_an_example_that_it_takes(made, site):
    page, shown = (made / "cli.md").read_text(encoding="utf-8"), article(site / "cli.html")
    examples = [words for block in blocks_of(page) for words in block.commands]
    assert len(examples) == len(COMMANDS)
    for command, words in zip(COMMANDS, examples, strict=True):
        assert words[: 1 + len(command)] == ["tribetune", *command]
        check_command(words)
        assert f"<code>tribetune {' '.join(command)}</code>" in shown


def test_every_recipe_has_its_section_and_its_commands_exist(made, site):
    page, shown = (made / "how-to.md").read_text(encoding="utf-8"), article(site / "how-to.html")
    recipes = shipped_recipes()
    for name, path in recipes.items():
        assert f'<h2 id="{name}">' in shown
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        commands, recipe = blocks_of(section)
        for words in commands.commands:
            check_command(words)
        check_recipe(recipe.body)
        assert yaml.safe_load(recipe.body) == yaml.safe_load(path.read_text(encoding="utf-8"))
    assert len(recipes) >= 10


def test_a_score_leads_to_its_table_which_is_on_another_page(site):
    shown = article(site / "how-to.html")
    assert "see the table below" not in shown
    assert shown.count('href="concepts.html#calibration-minutes"') >= 3
    assert "Share of the ideal score" in read(article(site / "concepts.html"))


def test_every_name_of_the_python_page_is_documented(site):
    wanted = re.findall(r"^::: (\S+)$", PAGES["python"].read_text(encoding="utf-8"), flags=re.M)
    shown = article(site / "python.html")
    assert len(wanted) > 20
    for name in wanted:
        assert f'id="{name}"' in shown
    assert "Parameters:" in read(shown) or "Parameters" in read(shown)


def test_the_design_page_names_rooms_that_are_there():
    page = PAGES["design"].read_text(encoding="utf-8")
    table = page.partition("| made in |")[2].partition("\n\n")[0]
    rooms = re.findall(r"\| `(\S+)` \|$", table, flags=re.M)
    assert len(rooms) >= 5
    for room in rooms:
        assert (DOCS.parent / "src" / "tribetune" / room).exists(), room


def test_all_that_can_be_made_is_shown_somewhere():
    asked = [name for path in PAGES.values() for name in re.findall(r"<!-- made: (\w+) -->", path.read_text("utf-8"))]
    assert sorted(asked) == sorted(MADE)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("```sh\ntribetune adept mine.yaml\n```", "no such command"),
        ("```sh\ntribetune adapt\n```", "Missing argument"),
        ('```sh title="Needs luck"\ntribetune adapt mine.yaml --fast\n```', "No such option"),
        ("```sh\nmake coffee\n```", "no such target"),
        ("```sh\nrm -r data\n```", "no runner"),
        ('```sh title="Later"\ntribetune demo\n```', "expected what it needs"),
        ("```sh\npython -c 1\n```", "say in the block's title"),
        ("```text\nfolder: made-up\n```", "not run"),
        ("```json\n{}\n```", "no runner"),
        ("```\ntribetune demo\n```", "no language"),
    ],
)
def test_a_block_that_nobody_could_follow_is_refused(block, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        Reader(tmp_path, unused).follow(blocks_of(f"# Page\n\n{block}\n"))


def test_yaml_that_is_no_part_of_a_recipe_is_refused():
    check_recipe("data:\n  calibration_minutes: 5\n")
    with pytest.raises(RecipeError, match="calibration_minuts"):
        check_recipe("data:\n  calibration_minuts: 5\n")


def test_blocks_of_a_page_go_on_where_the_one_before_ended(tmp_path):
    page = "```python\nx = 20\n```\n\nand then\n\n```python\nprint(x + 1)\n```\n\n```text\n0\n```\n"
    reader = Reader(tmp_path, unused)
    reader.follow(blocks_of(page))
    assert reader.printed == ["21\n"]
    assert rewritten(page, reader.printed).endswith("```text\n21\n```\n")


def test_a_recipe_under_a_name_is_written_for_the_commands_after_it(tmp_path):
    body = shipped_recipes()["ladder"].read_text(encoding="utf-8")
    Reader(tmp_path, unused).follow([Block("yaml", "mine.yaml", body, (0, 0))])
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == body


def test_the_same_output_with_other_numbers_and_another_width_is_of_one_shape():
    assert shape_of("mean r  .036 [-.009, +1,094.5]\n ────") == shape_of("mean r .1 [+.1, 2] ──")
    assert shape_of("mean r: .036") != shape_of("mean r: not defined")
