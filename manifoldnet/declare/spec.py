"""Specs: Python files that declare a network and its data. Loading one RUNS it."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, final

import attrs

from manifoldnet.declare.network import Network
from manifoldnet.errors import ManifoldNetError, SpecError


@final
@attrs.frozen(eq=False)
class Spec:
    """A loaded spec: `network(...)` and `data(...)`, and what else the file says."""

    path: Path
    module: ModuleType
    settings: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(getattr(self.module, "title", self.path.stem))

    @property
    def schedule(self) -> Any:
        """How to train it, or None where the spec does not say; a function of settings is called with them."""
        found = getattr(self.module, "schedule", None)
        return self._call("schedule", 0) if callable(found) else found

    @property
    def metric(self) -> Any:
        """With which metric, a rule or the name of one, or None where the spec does not say."""
        return getattr(self.module, "metric", None)

    @property
    def initial(self) -> Callable[..., Any] | None:
        """`initial(program, rng)` -> parameters, where the spec wants others than the usual ones."""
        return getattr(self.module, "initial", None)

    @property
    def has_data(self) -> bool:
        return hasattr(self.module, "data")

    def network(self, seed: int) -> Network:
        """The declared network; raises SpecError if the function fails or returns something else."""
        found = self._call("network", seed)
        if not isinstance(found, Network):
            raise SpecError(f"{self.path}: network() must return an mn.Network, received {found!r}")
        return found

    def data(self, seed: int) -> Any:
        """The data set; raises SpecError if the spec has none."""
        if not self.has_data:
            raise SpecError(f"{self.path} has no data(): write data(seed=0) that returns mn.Dataset(inputs, targets)")
        return self._call("data", seed)

    def _call(self, name: str, seed: int) -> Any:
        function = getattr(self.module, name)
        accepted = {key: value for key, value in self.settings.items() if _takes(function, key)}
        if _takes(function, "seed"):
            accepted = {"seed": seed, **accepted}
        try:
            return function(**accepted)
        except ManifoldNetError:
            raise
        except Exception as error:
            place = spec_place(error, self.path)
            raise SpecError(f"{place}: {name}() failed with {type(error).__name__}: {error}") from error


def load_spec(path: str | Path, settings: Mapping[str, Any] | None = None) -> Spec:
    """Run a spec file and return what it defines; `settings` go to network(), data() and schedule(), whichever take them.

    Raises SpecError that says which file and line and what is missing, or which settings none of them takes.
    """
    place, settings = Path(path), dict(settings or {})
    if not place.is_file():
        raise SpecError(
            f"there is no spec file {str(path)!r}: give the path of a Python file with network() and data()"
        )
    module = _run(place)
    if not callable(getattr(module, "network", None)):
        raise SpecError(f"{path} declares no network: write a function network(seed=0) that returns an mn.Network")
    functions = [found for name in ("network", "data", "schedule") if callable(found := getattr(module, name, None))]
    for key in settings:
        if not any(_takes(function, key) for function in functions):
            known = sorted({p for f in functions for p in inspect.signature(f).parameters} - {"seed"})
            raise SpecError(
                f"{path}: nothing takes the setting {key!r}; its functions take {', '.join(known) or 'none'}"
            )
    return Spec(place, module, settings)


def spec_place(error: BaseException, path: Path) -> str:
    """Where in a spec an error arose, as `file:line`, or the file alone if its code was not running.

    >>> spec_place(ValueError("elsewhere"), Path("net.py"))
    'net.py'
    """
    if isinstance(error, SyntaxError) and error.filename is not None and _same_file(error.filename, path):
        return f"{path}:{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if _same_file(f.filename, path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _same_file(name: str, path: Path) -> bool:
    return Path(name).resolve() == path.resolve()


def _run(place: Path) -> ModuleType:
    name = f"_manifoldnet_spec_{place.stem}"
    description = importlib.util.spec_from_file_location(name, place)
    if description is None or description.loader is None:
        raise SpecError(f"{place} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(description)
    # classes that the spec defines look their module up by name
    sys.modules[name] = module
    try:
        description.loader.exec_module(module)
    except ManifoldNetError:
        raise
    except (Exception, SystemExit) as error:
        raise SpecError(
            f"{spec_place(error, place)}: failed while it was loaded: {type(error).__name__}: {error}"
        ) from error
    return module


def _takes(function: Callable[..., Any], key: str) -> bool:
    parameters = inspect.signature(function).parameters
    return key in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
