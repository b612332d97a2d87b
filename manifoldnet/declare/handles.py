"""Handles: a layer, or some of its units, as later declarations name them."""

from typing import Any, final

import attrs

from manifoldnet.errors import GraphError


@final
@attrs.frozen(eq=False, repr=False)
class Handle:
    """Units of one layer of a network. Slices and indices give handles of fewer units: `y[:5]`, `y[3]`."""

    network: Any
    layer: str
    units: tuple[int, ...]

    def __getitem__(self, key: int | slice | list[int] | tuple[int, ...]) -> "Handle":
        try:
            chosen = self._chosen(key)
        except (IndexError, TypeError) as error:
            raise GraphError(f"{self!r} has {len(self.units)} units and no unit {key!r}") from error
        if not chosen:
            raise GraphError(f"{self!r} has {len(self.units)} units: {key!r} selects none of them")
        return Handle(self.network, self.layer, chosen)

    def _chosen(self, key: int | slice | list[int] | tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(key, slice):
            return self.units[key]
        if isinstance(key, list | tuple):
            return tuple(self.units[i] for i in key)
        return (self.units[key],)

    def __len__(self) -> int:
        return len(self.units)

    def __repr__(self) -> str:
        return f"<{self.layer}[{_described(self.units)}] of network {self.network.name}>"


def _described(units: tuple[int, ...]) -> str:
    if units == tuple(range(units[0], units[0] + len(units))):
        return f"{units[0]}:{units[-1] + 1}" if len(units) > 1 else str(units[0])
    return ", ".join(map(str, units))
