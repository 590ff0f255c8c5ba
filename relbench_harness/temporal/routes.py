"""Ways through a database from an entity's row: foreign keys up and down, in the order in which they are walked.

A `KeyPath` leads from rows up to what they belong to; a route may turn. Invariant: each leg starts where the one before it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from relbench_harness.temporal.paths import ForeignKey, KeyPath


@dataclass(frozen=True, order=True)
class Leg:
    """One foreign key, walked from child to parent where `up`, else from parent to children."""

    key: ForeignKey
    up: bool

    @property
    def target(self) -> str:
        """The table that it leads to."""
        return self.key.parent if self.up else self.key.child

    @property
    def name(self) -> str:
        """Children as `orders[customer]`, a parent by the column that names it."""
        return self.key.column if self.up else f"{self.key.child}[{self.key.column}]"


@dataclass(frozen=True, order=True)
class Route:
    """Legs from an entity's row outwards; no leg is the entity's own row."""

    legs: tuple[Leg, ...] = ()

    @property
    def name(self) -> str:
        """As it is walked, such as `orders[customer]/product`; empty for the entity's own row."""
        return "/".join(leg.name for leg in self.legs)

    @property
    def hops(self) -> int:
        return len(self.legs)

    def then(self, *legs: Leg) -> Route:
        """This route, and further legs."""
        return Route((*self.legs, *legs))

    def down(self, path: KeyPath) -> Route:
        """This route, and from its end down `path`, which leads up to there."""
        return self.then(*(Leg(key, up=False) for key in reversed(path.keys)))

    def up(self, key: ForeignKey) -> Route:
        """This route, and from its end up `key`."""
        return self.then(Leg(key, up=True))


HERE = Route()
"""The entity's own row."""
