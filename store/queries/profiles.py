"""How do the top pairs of each layer stand in every layer, and which layers are left out?"""

from dataclasses import dataclass

from store.database import Database


@dataclass(frozen=True)
class ProfileRow:
    """The top pairs of a source layer as one layer scores them; None is undefined.

    `variant` is paper, random or split.
    """

    variant: str
    source_layer: int
    layer: int
    oi_z: float | None
    oi_z_sem: float | None
    oi_z_relative: float | None
    oi_z_relative_sem: float | None
    distance_z: float | None
    distance_z_sem: float | None
    low: float | None
    high: float | None
    n_pairs: int


@dataclass(frozen=True)
class LeftOutLayer:
    """A recorded layer that has no profile, and why."""

    layer: int
    reason: str


def list_profile(database: Database, recording_id: int) -> list[ProfileRow]:
    """Return the profile of a recording over its own pair set, by variant and layers.

    Empty where nothing was measured; `list_left_out` names the layers that are missing.
    """
    return database.read(
        ProfileRow,
        "SELECT p.variant, p.source_layer, p.layer, p.oi_z, p.oi_z_sem, p.oi_z_relative, "
        "p.oi_z_relative_sem, p.distance_z, p.distance_z_sem, p.low, p.high, p.n_pairs "
        "FROM layer_profiles p "
        "JOIN recordings r ON r.id = p.recording_id AND r.pair_set_id = p.pair_set_id "
        "WHERE p.recording_id = :id ORDER BY p.variant, p.source_layer, p.layer",
        {"id": recording_id},
    )


def list_left_out(database: Database, recording_id: int) -> list[LeftOutLayer]:
    """Return the layers of a recording that take no part in its profiles, ascending."""
    return database.read(
        LeftOutLayer,
        "SELECT layer, CASE WHEN state <> 'complete' THEN 'not recorded to the end' "
        "WHEN comparable IS NULL THEN 'not measured yet' "
        "ELSE coalesce(reason, 'not comparable') END AS reason "
        "FROM recording_layers WHERE recording_id = :id "
        "AND (state <> 'complete' OR comparable IS NOT 1) ORDER BY layer",
        {"id": recording_id},
    )
