"""Docstrings as Markdown: examples become code, signs that Markdown takes for its own text, classes show how they are made."""

import inspect
import re
from typing import Any

import attrs
import griffe

import manifoldnet

EXAMPLE = re.compile(r"(?m)^[ \t]*>>> .*(?:\n[ \t]*\S.*)*")
CODE = re.compile(r"(```.*?```|`[^`]*`)", re.DOTALL)

NAMED = {name: getattr(manifoldnet, name) for name in manifoldnet.__all__}
PUBLIC = {f"{thing.__module__}.{name}": thing for name, thing in NAMED.items() if isinstance(thing, type)}


class AsMarkdown(griffe.Extension):
    """Rewrites every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
        if obj.docstring and obj.path in PUBLIC:
            obj.docstring.value = made_by(PUBLIC[obj.path]) + obj.docstring.value


def as_markdown(text: str) -> str:
    """A docstring whose examples are fenced and whose stars and angle brackets are text."""
    fenced = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
    parts = CODE.split(fenced)
    return "".join(part if number % 2 else re.sub(r"([*<])", r"\\\1", part) for number, part in enumerate(parts))


def made_by(kind: type) -> str:
    """How an instance is made, as a block of code; nothing for classes whose own `__init__` tells it."""
    if not attrs.has(kind) or inspect.isabstract(kind):
        return ""
    words = [_word(one) for one in inspect.signature(kind).parameters.values()]
    return f"```python\n{kind.__name__}({', '.join(words)})\n```\n\n"


def _word(one: inspect.Parameter) -> str:
    """A parameter as a caller writes it: its default by its public name where it has one, and no types, which prose tells."""
    if one.default is inspect.Parameter.empty:
        return one.name
    names = [f"mn.{name}" for name, thing in NAMED.items() if thing is one.default]
    names += [one.default.__name__] if isinstance(one.default, type) else []
    return f"{one.name}={names[0] if names else repr(one.default)}"
