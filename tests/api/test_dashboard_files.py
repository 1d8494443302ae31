"""The files of the page at /: complete, without external resources or unescaped markup."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from small_service import Service, error_of

from cineclub.api.routes.dashboard import ASSETS, FOLDER, INDEX

pytestmark = pytest.mark.anyio

MAX_BYTES = 150_000
SCRIPTS = {name: asset.content.decode() for name, asset in ASSETS.items() if name.endswith(".js")}
IMPORT = re.compile(r'^import (?:\* as \w+|\{ ([^}]+) \}) from "\./([\w.]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.MULTILINE)
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function")
ADDRESS = re.compile(r"(?:https?:)?//[\w-]+\.[\w.-]+")
NAMESPACE = "http://www.w3.org/2000/svg"


class References(HTMLParser):
    """Collects the resources of a page, and the tags that its policy forbids."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.loads: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the reference of a tag."""
        attributes = dict(attrs)
        self.loads += [value or "" for name, value in attrs if name == "src" or (name, tag) == ("href", "link")]
        self.forbidden += [f"{tag} {name}" for name in attributes if name == "style" or name.startswith("on")]
        self.forbidden += [tag] if tag == "style" or (tag == "script" and "src" not in attributes) else []


def imports_of(script: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each module that a script imports, with the names it takes from it."""
    for names, module in IMPORT.findall(script):
        yield module, {name.strip() for name in names.split(",") if name.strip()}


async def test_the_page_and_its_files_are_open_and_carry_a_strict_policy(refusing: Service) -> None:
    """Each file has its type, an ETag, and a policy that allows only scripts of this server."""
    for path in ("/", *(f"/assets/{name}" for name in ASSETS)):
        response = await refusing.client.get(path)
        assert response.status_code == 200, path
        assert response.headers["content-type"] == ASSETS[path.rpartition("/")[2] or INDEX].media_type
        policy = response.headers.get_list("content-security-policy")
        assert len(policy) == 1
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy[0].split("; "))
        assert "unsafe" not in policy[0]
        assert response.headers.get_list("cache-control") == ["no-cache"]
        assert response.headers["x-content-type-options"] == "nosniff"
        again = await refusing.client.get(path, headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_what_is_no_file_of_the_page_is_404(refusing: Service) -> None:
    """Other files of the package or the machine are 404."""
    for name in ("nothing.js", "..%2f..%2fapp.py", "%2fetc%2fpasswd", "dashboard", "%00"):
        response = await refusing.client.get(f"/assets/{name}")
        assert (response.status_code, error_of(response)["code"]) in {(404, "not_found"), (404, "no_such_page")}


def test_every_file_that_is_referred_to_exists_and_is_used() -> None:
    """The page names its files, scripts name existing modules and exports, and no file is unused."""
    page = References()
    page.feed(ASSETS[INDEX].content.decode())
    assert page.forbidden == []
    used = {load.removeprefix("assets/") for load in page.loads}
    for name, script in SCRIPTS.items():
        for module, names in imports_of(script):
            assert names <= set(EXPORT.findall(SCRIPTS[module])), (name, module)
            used.add(module)
        assert script.count("\nimport ") + script.startswith("import ") == len(IMPORT.findall(script)), name
    assert used | {INDEX} == set(ASSETS) == {file.name for file in FOLDER.iterdir()}


def test_nothing_comes_from_elsewhere_and_data_is_never_markup() -> None:
    """No file names another server or parses text as markup or code, and the total size is bounded."""
    for name, asset in ASSETS.items():
        text = asset.content.decode()
        assert set(ADDRESS.findall(text)) <= {NAMESPACE.rpartition("/2000")[0]}, name
        assert not MARKUP.search(text), name
    assert sum(len(asset.content) for asset in ASSETS.values()) < MAX_BYTES
