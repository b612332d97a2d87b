"""Modules that need an optional dependency."""

import importlib
from types import ModuleType

from manifoldnet.errors import MissingExtraError


def extra_module(name: str, extra: str) -> ModuleType:
    """A module that needs an extra; MissingExtraError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if (error.name or "").startswith("manifoldnet"):
            raise
        raise MissingExtraError(
            f"{error.name} is not installed: pip install 'manifoldnet[{extra}]' brings it"
        ) from error
