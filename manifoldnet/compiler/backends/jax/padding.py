"""How far rows of ragged wiring are padded, so that networks of other seeds have the same shapes."""

from typing import final

import attrs


@final
@attrs.frozen
class Padding:
    """Numbers of parents up to `exact` stay, larger ones are rounded up to a multiple of `step`, at least `least`."""

    exact: int = 8
    step: int = 4
    least: int = 0

    def rounded(self, parents: int) -> int:
        """How many parents a row has room for.

        >>> Padding().rounded(5), Padding().rounded(21)
        (5, 24)
        """
        if parents <= self.exact:
            return parents
        return max(self.least, -(-parents // self.step) * self.step)
