"""Labels of films: a director, a keyword, a language, or a name of any other kind, with a weight and a date."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

USUAL_KINDS = ("director", "cast", "keyword", "tag", "collection", "language", "country", "company")
"""The kinds that imports know, the most telling first; a label may be of any other kind too."""

GENRE = "genre"
"""The kind of ``Movie.genres``, which are no labels."""

KIND = re.compile(r"[a-z][a-z0-9_]{0,29}")
MAX_NAME_CHARACTERS = 200
MAX_LABELS = 1_000
"""Of one movie; of more the heaviest count."""

NAMES_REMEMBERED = 1 << 17
"""Of a catalogue of 59,000 films with 300,000 labels; the same names come back in each read of it."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a movie.

    Attributes:
        kind: such as director.
        name: as it is written.
        weight: above 0, at most 1.
        since: the moment from which it is known, in UTC; None for always.
    """

    kind: str
    name: str
    weight: float = 1.0
    since: datetime | None = None


@lru_cache(NAMES_REMEMBERED)
def folded(name: str) -> str:
    """Return a name in small letters of one form, with single blanks, so that two spellings of it are equal."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def clean_name(name: str) -> str:
    """Return a name without control characters, with single blanks; empty if nothing is left or it is too long."""
    if not name.isprintable():
        name = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in name)
    cleaned = " ".join(unicodedata.normalize("NFC", name).split())
    return cleaned if len(cleaned) <= MAX_NAME_CHARACTERS else ""


def settled_labels(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Return labels with clean names, each name of a kind once, the heaviest ones if there are too many.

    Of several spellings the first stays, with the largest weight and the earliest date. Labels without a name, without
    a weight, or of a kind that is none are left out.
    """
    return settled_and_left_out(labels)[0]


def settled_and_left_out(labels: Iterable[Label]) -> tuple[tuple[Label, ...], int]:
    """Return the same, and the number of labels that were left out; a second spelling of a label is none of them."""
    settled: dict[tuple[str, str], Label] = {}
    n_left_out = 0
    for label in labels:
        plain, key = _plain_label(label.kind, label.name)
        if plain is None or not 0 < label.weight <= 1:
            n_left_out += 1
            continue
        if label.weight != 1 or label.since is not None:
            plain = replace(plain, weight=label.weight, since=label.since)
        former = settled.get(key)
        settled[key] = plain if former is None else _joined(former, plain)
    if len(settled) <= MAX_LABELS:
        return tuple(settled.values()), n_left_out
    heaviest = sorted(settled.values(), key=lambda label: -label.weight)[:MAX_LABELS]
    return tuple(heaviest), n_left_out + len(settled) - MAX_LABELS


@lru_cache(NAMES_REMEMBERED)
def _plain_label(kind: str, name: str) -> tuple[Label | None, tuple[str, str]]:
    """Return the label of a name, the same object for the same spelling, and its key; None if it is no label."""
    cleaned = clean_name(name)
    key = kind, folded(cleaned)
    is_label = key[1] and kind != GENRE and KIND.fullmatch(kind)
    return (Label(kind, cleaned) if is_label else None), key


def labels_in(document: Any) -> tuple[Label, ...]:
    """Return the labels of a JSON document that others may have written; what is no label is left out.

    It has an entry for each kind: a list of names, or of objects with ``name``, and optionally ``weight`` and ``since``
    (ISO 8601 with its offset).
    """
    return settled_labels(written_labels(document)) if document and isinstance(document, Mapping) else ()


def label_document(labels: Iterable[Label]) -> dict[str, list[Any]]:
    """Return labels as the document that ``labels_in`` reads, the most telling kinds first, names in their order."""
    document: dict[str, list[Any]] = {}
    for label in sorted(labels, key=lambda label: place_of_kind(label.kind)):
        details: dict[str, Any] = {} if label.weight == 1 else {"weight": label.weight}
        if label.since is not None:
            details["since"] = label.since.isoformat()
        document.setdefault(label.kind, []).append({"name": label.name, **details} if details else label.name)
    return document


def place_of_kind(kind: str) -> int:
    """Return the place of a kind among all, the most telling first and the genre last."""
    return USUAL_KINDS.index(kind) if kind in USUAL_KINDS else len(USUAL_KINDS) + (kind == GENRE)


def _joined(former: Label, label: Label) -> Label:
    """Return one label of two spellings of it."""
    since = None if former.since is None or label.since is None else min(former.since, label.since)
    return replace(former, weight=max(former.weight, label.weight), since=since)


def written_labels(document: Mapping[str, Any]) -> Iterator[Label]:
    """Yield the labels of a JSON document as they are written."""
    for kind, entries in document.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, str):
                yield _plain_label(kind, entry)[0] or Label(kind, "")
            elif isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
                weight = entry.get("weight", 1.0)
                if isinstance(weight, int | float) and 0 < weight <= 1:
                    yield Label(kind, entry["name"], float(weight), _since(entry.get("since")))


def _since(text: Any) -> datetime | None:
    """Return the moment of a text in ISO 8601 with its offset; None for anything else."""
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
