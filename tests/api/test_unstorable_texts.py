"""NUL and lone surrogates, which PostgreSQL cannot store, in every text of the OpenAPI document's requests."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from small_service import Service, error_of

from cineclub.api.fields import STORABLE_TEXT

pytestmark = pytest.mark.anyio

NUL, IN_JSON = "a\0b", ['"a\\u0000b"', '"\\ud800"']
MARK = "the marked text"
Document = dict[str, Any]


def is_text(schema: Document) -> bool:
    """Return whether a schema takes free texts; a time has a format of its own."""
    return schema.get("type") == "string" and not {"format", "enum", "const"} & set(schema)


def alternatives(document: Document, schema: Document) -> Iterator[Document]:
    """Yield the schemas that a value may meet."""
    if "$ref" in schema:
        yield from alternatives(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    elif "anyOf" in schema or "oneOf" in schema:
        for other in schema.get("anyOf", schema.get("oneOf")):
            yield from alternatives(document, other)
    else:
        yield schema


def marked_bodies(document: Document, schema: Document) -> Iterator[Any]:
    """Yield bodies of a schema that hold nothing but one marked text."""
    for alternative in alternatives(document, schema):
        if is_text(alternative):
            yield MARK
        for name, inner in alternative.get("properties", {}).items():
            yield from ({name: body} for body in marked_bodies(document, inner))
        if "items" in alternative:
            yield from ([body] for body in marked_bodies(document, alternative["items"]))


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield method, path and description of every operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def is_refused(response: Any) -> bool:
    """Return whether a response refuses a text for what it holds."""
    return response.status_code == 422 and any(
        field["message"] == STORABLE_TEXT for field in error_of(response).get("fields", [])
    )


async def test_every_text_of_a_body_is_checked(refusing: Service) -> None:
    """Each text of each body is refused with NUL and with a lone surrogate."""
    document = (await refusing.client.get("/openapi.json")).json()
    n_texts = 0
    for method, path, operation in operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for body in marked_bodies(document, media["schema"]):
                n_texts += 1
                url = path.replace("{version}", "1")
                for text in IN_JSON:
                    content = orjson.dumps(body).replace(orjson.dumps(MARK), text.encode())
                    headers = {"Content-Type": "application/json"}
                    response = await refusing.client.request(method, url, content=content, headers=headers)
                    assert response.status_code == 422, (method, path, body, response.text)
                    assert is_refused(response) or "u0000" not in text, (method, path, body, response.text)
    assert n_texts > 20


async def test_every_text_of_an_address_is_checked(refusing: Service) -> None:
    """Each text of each path and query is refused with NUL."""
    document = (await refusing.client.get("/openapi.json")).json()
    n_texts = 0
    for method, path, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if not any(map(is_text, alternatives(document, parameter["schema"]))):
                continue
            n_texts += 1
            name, place = parameter["name"], parameter["in"]
            url = path.replace(f"{{{name}}}", quote(NUL)) if place == "path" else path
            url = url.replace("{user_id}", "2").replace("{movie_id}", "2")
            params = {name: NUL} if place == "query" else {}
            response = await refusing.client.request(method, url, params=params)
            assert is_refused(response), (method, path, name, response.text)
    assert n_texts >= 10
