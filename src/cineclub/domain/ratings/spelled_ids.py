"""Ids as files spell them: 1.0 where a program widened a column of whole numbers, nan where an id was missing.

An id never becomes another without a word: what is not certain is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"nan", "nat", "null", "none", "na", "n/a", "<na>", "inf", "-inf", "+inf", "infinity"})
TRUTH_VALUES = frozenset({"true", "false"})
FRACTION = re.compile(r"[+-]?(?P<digits>\d+\.?\d*|\.\d+)(?P<exponent>[eE][+-]?\d+)?")
LARGEST_EXPONENT_CHARACTERS = 4
LARGEST_EXACT = 1 << 53
"""From here on a floating-point number stands for several whole numbers."""


@dataclass(frozen=True, slots=True)
class SettledIds:
    """The ids that the spellings of a column stand for.

    Attributes:
        names: the ids.
        codes: (n,) the position in ``names`` for each spelling; 0 for a refused one.
        faults: the reason for each refused spelling, by position.
        n_respelled: spellings that differ from their id.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int32]
    faults: dict[int, str]
    n_respelled: int


def settled_ids(spellings: Sequence[str], whose: str) -> SettledIds:
    """Return the ids of a column by its spellings, each given once.

    In a column of mostly numbers 1.0 is the id 1, and 1.5, 1e3 and nan are refused. Other columns hold text, in which
    every spelling is an id.
    """
    names: dict[str, int] = {}
    codes = np.zeros(len(spellings), np.int32)
    faults: dict[int, str] = {}
    is_numeric, n_respelled = _is_numeric(spellings), 0
    is_truth = bool(spellings) and all(text.casefold() in TRUTH_VALUES for text in spellings if text)
    for nth, text in enumerate(spellings):
        name, fault = _number_id(text, whose) if is_numeric and not _is_digits(text) else (text, "")
        if is_truth and text:
            fault = f"the {whose} id is true or false"
        if fault:
            faults[nth] = fault
        else:
            codes[nth] = names.setdefault(name, len(names))
            n_respelled += name != text
    return SettledIds(tuple(names), codes, faults, n_respelled)


def _is_digits(text: str) -> bool:
    """Return whether a text is digits alone, perhaps with a sign."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()


def _is_numeric(spellings: Sequence[str]) -> bool:
    """Return whether most spellings, missing ids aside, are numbers."""
    n_numbers = n_texts = 0
    for text in spellings:
        if _is_digits(text) or FRACTION.fullmatch(text):
            n_numbers += 1
        elif text and text.casefold() not in MISSING:
            n_texts += 1
    return n_numbers > n_texts


def _number_id(text: str, whose: str) -> tuple[str, str]:
    """Return the id of a spelling in a column of numbers, and the reason if it is none."""
    if text.casefold() in MISSING | TRUTH_VALUES:
        return "", f"the {whose} id is missing"
    match = FRACTION.fullmatch(text)
    if match is None or not text.isascii():
        return text, ""
    is_small = len(match["exponent"] or "") <= LARGEST_EXPONENT_CHARACTERS
    value = Decimal(text) if is_small else Decimal("0.5")
    if value != value.to_integral_value():
        return "", f"the {whose} id is no whole number, unlike others of its column"
    whole = str(int(value))
    n_digits = len(match["digits"].replace(".", "").lstrip("0"))
    if abs(value) > LARGEST_EXACT or (match["exponent"] and n_digits < len(whole.lstrip("-"))):
        return "", f"the {whose} id is rounded: write all of its digits, without a fraction"
    return whole, ""
