"""Distance on the globe."""

from __future__ import annotations

import math

from ksqlite.errors import EvaluationError
from ksqlite.functions.math import radians as _radians
from ksqlite.functions.registry import scalar

_RADIUS_KM = 6371
_RADIUS_MILES = 3959


@scalar("GEO_DISTANCE", "DOUBLE, DOUBLE, DOUBLE, DOUBLE -> DOUBLE", never_null=True)
def geo_distance(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """The great-circle distance of two points given by latitude and longitude in degrees, in km or miles."""
    return geo_distance_in("KM", latitude1, longitude1, latitude2, longitude2)


@scalar("GEO_DISTANCE", "DOUBLE, DOUBLE, DOUBLE, DOUBLE, STRING -> DOUBLE", skip_nulls=False)
def geo_distance_with_unit(
    latitude1: float | None,
    longitude1: float | None,
    latitude2: float | None,
    longitude2: float | None,
    unit: str | None,
) -> float | None:
    """The same in KM or MI; km when the unit is NULL."""
    if latitude1 is None or longitude1 is None or latitude2 is None or longitude2 is None:
        return None
    return geo_distance_in(unit or "KM", latitude1, longitude1, latitude2, longitude2)


def geo_distance_in(unit: str, latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """The distance by the haversine formula. Raises EvaluationError for a place that is none."""
    for latitude, longitude in ((latitude1, longitude1), (latitude2, longitude2)):
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise EvaluationError(
                "valid latitude values for GEO_DISTANCE function are in the range of -90 to 90 and longitude "
                "-180 to 180"
            )
    radius = _RADIUS_MILES if unit.lower() in {"mi", "mile", "miles"} else _RADIUS_KM
    if radius == _RADIUS_KM and unit.lower() not in {"km", "kilometer", "kilometers", "kilometre", "kilometres"}:
        raise EvaluationError("GEO_DISTANCE function units parameter must be one of KM, MI")
    north = _radians(latitude2 - latitude1)
    east = _radians(longitude2 - longitude1)
    chord = math.pow(math.sin(north / 2), 2) + (
        math.pow(math.sin(east / 2), 2) * math.cos(_radians(latitude1)) * math.cos(_radians(latitude2))
    )
    return radius * (2 * math.asin(math.sqrt(chord)))
