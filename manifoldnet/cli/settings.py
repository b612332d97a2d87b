"""`--set KEY=VALUE`: words of the command line as arguments of a spec's functions."""

import json
from collections.abc import Collection, Iterable
from typing import Any, NoReturn

from manifoldnet.cli.failures import CallError

# as Python spells them, since a text "False" would count as true
SPELLINGS = {"True": True, "False": False, "None": None}


def parsed_settings(words: Iterable[str]) -> dict[str, Any]:
    """Settings by name; a later one replaces an earlier one. Raises CallError for words without a name or `=`.

    >>> parsed_settings(["replace=false", "hidden=64", "output=spherical", "rate=1e-3"])
    {'replace': False, 'hidden': 64, 'output': 'spherical', 'rate': 0.001}
    """
    settings = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise CallError(f"--set takes KEY=VALUE with a name for KEY, such as hidden=64; received {word!r}")
        if key == "seed":
            raise CallError(f"the seed has an option of its own: write --seed {text or 0} instead of --set {word}")
        settings[key] = parsed_value(text)
    return settings


def parsed_value(text: str) -> Any:
    """JSON where it is JSON, and True, False, None; else the text itself.

    >>> parsed_value("true"), parsed_value("None"), parsed_value("2.5"), parsed_value("[1, 2]"), parsed_value("a b")
    (True, None, 2.5, [1, 2], 'a b')
    """
    if text in SPELLINGS:
        return SPELLINGS[text]
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def names_in(text: str, option: str, known: Collection[str]) -> list[str]:
    """Names between commas, each once; raises CallError that lists the known ones for any other.

    >>> names_in("b, a,b", "--metric", ["a", "b", "c"])
    ['b', 'a']
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"there is no {unknown[0]!r}" if unknown else "there are no names"
        raise CallError(f"{option}: {wrong}; it takes names of {', '.join(known)}, with commas between them")
    return names
