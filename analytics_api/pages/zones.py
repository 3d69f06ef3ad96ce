"""Which time zone a page shows: the address's, else the browser's (a cookie its script sets), else the service's."""

from zoneinfo import ZoneInfo, available_timezones

COOKIE = "zone"
OFFERED = (
    "UTC",
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Krasnoyarsk",
    "Asia/Irkutsk",
    "Asia/Yakutsk",
    "Asia/Vladivostok",
    "Asia/Magadan",
    "Asia/Kamchatka",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Asia/Dubai",
    "Asia/Tbilisi",
    "Asia/Almaty",
    "Asia/Tashkent",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
)
_KNOWN = frozenset(available_timezones())


def find(name: str | None) -> ZoneInfo | None:
    """The zone of that name, None when there is none."""
    return ZoneInfo(name) if name in _KNOWN else None


def choose(asked: str | None, browser: str | None, default: ZoneInfo) -> ZoneInfo:
    """The first of them that is a zone."""
    return find(asked) or find(browser) or default


def offered(*more: ZoneInfo) -> list[str]:
    """Names to choose from; `more` are always among them."""
    return sorted({*OFFERED, *(zone.key for zone in more)})
