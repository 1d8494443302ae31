"""The identifiers of the last column of docs/glossary.md are gone: each thing has the field's name."""

import re
import tokenize
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("src", "tests", "benchmarks", "ops", ".ci")
MODULES = [module for tree in TREES for module in sorted((ROOT / tree).rglob("*.py"))]

CLASSES = """
Answer Choice ChoiceIn Contest Doorkeeper Doors Film FilmIndex Ground Judgement JudgedWindow Kept Likeness Listed
Listened Pauses Question Reading Rival Setback Setbacks Shield Trial Watch Wishes
"""
FUNCTIONS_AND_VARIABLES = """
admit answer asked barring choice contest doorkeeper doors film film_id film_ids films found ground heal judge
judged kept likeness listed listened look looked mend n_films n_judged one onto_many pause pauses question questions
reading_of refresh_instead replies reply rival rivals say setback setbacks tell told trial trials watch wishes
"""
WORDS = frozenset(CLASSES.split()) | frozenset(FUNCTIONS_AND_VARIABLES.split())
OF_PROSE = frozenset({"the one that serves", "judged user", "away"})
"""Former words of sentences alone, which no identifier had."""

OF_LIBRARIES = frozenset({"choice"})  # numpy.random.Generator.choice


def identifiers_of(module: Path) -> set[str]:
    """Return every identifier of a module without its leading underscores, attributes of libraries aside."""
    with module.open("rb") as file:
        tokens = [token.string for token in tokenize.tokenize(file.readline) if token.type != tokenize.COMMENT]
    names = {(name.strip("_"), before == ".") for before, name in pairwise(tokens)}
    return {name for name, is_attribute in names if not (is_attribute and name in OF_LIBRARIES)}


def former_words() -> list[str]:
    """Return the words of the last column of the glossary's tables, without remarks in parentheses."""
    rows = re.findall(r"^\| [^|]+\| [^|]+\|([^|\n]+)\|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    cells = [re.sub(r"\(.*?\)", "", row).split(",") for row in rows]
    return [word.strip() for words in cells for word in words if word.strip() not in {"", "not", "---"}]


def test_every_term_has_one_definition() -> None:
    """No term of the glossary has two rows."""
    terms = re.findall(r"^\| ([^|]+) \| [^|]+\|[^|\n]+\|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    terms = [term for term in terms if term not in {"term", "---"}]
    assert len(terms) > 80
    assert sorted(terms) == sorted(set(terms))


def test_every_former_word_of_the_glossary_is_checked() -> None:
    """The list of this test and the glossary cannot drift apart."""
    words = former_words()
    assert len(words) > 30
    forms = {word: {word.replace(" ", "_"), word.title().replace(" ", "")} for word in words}
    assert [word for word in words if word not in OF_PROSE and not forms[word] & WORDS] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_identifiers_are_the_terms_of_the_field(module: Path) -> None:
    """No identifier is a former private word; docs/glossary.md has the term that took its place."""
    assert sorted(identifiers_of(module) & WORDS) == []
