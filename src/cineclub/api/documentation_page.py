"""The OpenAPI document as one page of HTML that works offline."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Document = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8885 } h3 { margin: 2rem 0 .25rem }
code, pre { font: 14px/1.45 ui-monospace, monospace } pre { background: #8882; padding: .75rem; overflow-x: auto }
.method { background: #2563eb; color: white; border-radius: .25rem; padding: .1rem .5rem; margin-right: .5rem }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .2rem .75rem .2rem 0;
vertical-align: top; border-bottom: 1px solid #8883 }
"""


def page_of(document: Document, base_url: str) -> str:
    """Return the page: all operations by tag, with fields, an example command, and the possible responses."""
    title = f"{document['info']['title']} {document['info']['version']}"
    sections = "".join(_section(document, tag, base_url) for tag in document.get("tags", []))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1>{_paragraphs(document['info']['description'])}"
        f'<p>For programs: <a href="/openapi.json">/openapi.json</a></p>{sections}</body></html>'
    )


def _section(document: Document, tag: Document, base_url: str) -> str:
    """Return the operations of one tag."""
    parts = [
        _operation(document, path, method, operation, base_url)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if tag["name"] in operation.get("tags", [])
    ]
    return f"<h2>{escape(tag['name'].capitalize())}</h2><p>{escape(tag['description'])}</p>{''.join(parts)}"


def _operation(document: Document, path: str, method: str, operation: Document, base_url: str) -> str:
    """Return one operation."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    request = _first_object(document, body) if body else None
    rows = "".join(_field_rows(operation, request))
    fields = f"<table><tr><th>field</th><th>meaning</th></tr>{rows}</table>" if rows else ""
    heading = f'<span class="method">{method.upper()}</span><code>{escape(path)}</code>'
    return (
        f"<h3>{heading}</h3>{_paragraphs(operation.get('description', ''))}{fields}"
        f"<pre>{escape(_curl(method, base_url + path, request))}</pre>{_responses(document, operation)}"
    )


def _paragraphs(text: str) -> str:
    """Return text as paragraphs, with the text between backticks as code."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        parts = escape(paragraph).split("`")
        paragraphs.append("".join(f"<code>{part}</code>" if nth % 2 else part for nth, part in enumerate(parts)))
    return "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs if paragraph)


def _curl(method: str, address: str, request: Document | None) -> str:
    """Return a command to paste into a shell."""
    command = f"curl -X {method.upper()} {address}" if method != "get" else f"curl {address}"
    if request is None:
        return command
    example = json.dumps(request.get("examples", [{}])[0])
    return f"{command} -H 'Content-Type: application/json' \\\n  -d '{example}'"


def _field_rows(operation: Document, body: Document | None) -> Iterator[str]:
    """Yield the rows of the parameters in the URL and of the fields of the body."""
    for parameter in operation.get("parameters", []):
        meaning = parameter.get("description") or f"in the {parameter['in']}"
        yield f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(meaning)}</td></tr>"
    for name, field in (body or {}).get("properties", {}).items():
        default = f" (default {field['default']})" if field.get("default") is not None else ""
        meaning = f"{field.get('description', '')}{default}"
        yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(meaning)}</td></tr>"


def _responses(document: Document, operation: Document) -> str:
    """Return the possible responses of an operation, with an example if the document has one."""
    rows, example = "", ""
    for status, response in operation.get("responses", {}).items():
        rows += f"<tr><td><code>{status}</code></td><td>{escape(response.get('description', ''))}</td></tr>"
        schema = _first_object(document, response.get("content", {}).get("application/json", {}).get("schema", {}))
        if "examples" in schema:
            example = f"<pre>{escape(json.dumps(schema['examples'][0], indent=2, ensure_ascii=False))}</pre>"
    return f"<table><tr><th>status</th><th>when</th></tr>{rows}</table>{example}"


def _first_object(document: Document, schema: Document) -> Document:
    """Return the schema that a reference names, or the first of several alternatives."""
    for alternatives in ("oneOf", "anyOf"):
        if alternatives in schema:
            return _first_object(document, schema[alternatives][0])
    if "$ref" in schema:
        named: Document = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return named
    return schema
