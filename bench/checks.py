"""Made-up checks, the same for the same seed: for the demo, for scripts/send, for tests and for measurements.

Places differ in size and in what they sell, hours differ in how busy they are; there is food by weight, there are
discounts, tips, repeats of a check, conflicts (the same id with other content) and checks that come late.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import msgspec

_CENT = Decimal("0.01")
_BUSY = (1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 15, 18, 22, 22, 18, 16, 18, 22, 24, 20, 14, 8, 4, 2)
"""How many sales an hour of the day has, against the others."""
_PAYMENTS = ("credit_card", "debit_card", "cash", "sbp")


class Item(msgspec.Struct, frozen=True):
    """One line of a check."""

    product_id: str
    quantity: Decimal
    price: Decimal
    category: str


class Check(msgspec.Struct, frozen=True):
    """A check as a till sends it; ``timestamp`` is ISO 8601."""

    transaction_id: str
    timestamp: str
    items: tuple[Item, ...]
    total_amount: Decimal
    nds_amount: Decimal
    tips_amount: Decimal
    payment_method: str
    place_id: str
    place_name: str

    def json(self) -> bytes:
        """The body of a POST: amounts are numbers with their exact digits."""
        return _ENCODER.encode(self)

    @property
    def sold_at(self) -> datetime:
        """The timestamp as a time; without offset it is UTC."""
        moment = datetime.fromisoformat(self.timestamp)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Product:
    """Something that places sell."""

    product_id: str
    category: str
    price: Decimal
    by_weight: bool
    nds_percent: int


@dataclass(frozen=True, slots=True)
class Place:
    """A shop: what it is called, how busy it is, what it sells, whether people leave tips."""

    place_id: str
    name: str
    weight: int
    categories: tuple[str, ...]
    tips: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A check that is sent, and why."""

    check: Check
    kind: str = "first"
    """first, repeat (the same again) or conflict (the same id, other content)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make up."""

    seed: int = 1
    count: int = 2_000
    """Different checks; repeats and conflicts come on top."""
    places: int = 12
    end: datetime = field(default_factory=lambda: datetime.now(UTC))
    hours: float = 24.0
    """Over how many hours before ``end`` the sales lie."""
    repeat_share: float = 0.02
    conflict_share: float = 0.004
    late_share: float = 0.03
    """Part of the checks that are sent hours after they were made."""
    id_prefix: str = "demo"
    shuffled: bool = False
    """Whether sales come in any order of time instead of nearly in order."""


_CATALOGUE = {
    "groceries": (("milk", "89.90", 10), ("bread", "54.00", 10), ("eggs", "129.99", 10), ("pasta", "99.50", 20)),
    "fruit and vegetables": (("apples", "149.90", 10), ("tomatoes", "239.00", 10), ("bananas", "139.90", 10)),
    "coffee and tea": (("espresso", "150.00", 20), ("cappuccino", "220.00", 20), ("green tea", "180.00", 20)),
    "pastry": (("croissant", "135.00", 20), ("cheesecake", "310.00", 20)),
    "electronics": (("cable", "590.00", 20), ("headphones", "4990.00", 20), ("charger", "1290.00", 20)),
    "household": (("soap", "79.90", 20), ("sponges", "65.00", 20), ("detergent", "449.00", 20)),
    "pharmacy": (("plasters", "119.00", 10), ("vitamins", "689.00", 10)),
    "игрушки": (("кубики", "799.00", 10), ("мяч", "350.00", 10)),
}
_BY_WEIGHT = "fruit and vegetables"
_KINDS = (
    ("Магазин №{n}", ("groceries", _BY_WEIGHT, "household", "pastry"), 5, False),
    ("Кофейня №{n}", ("coffee and tea", "pastry"), 3, True),
    ("Электроника №{n}", ("electronics", "household"), 1, False),
    ("Аптека №{n}", ("pharmacy", "household"), 2, False),
    ("Детский мир №{n}", ("игрушки", "electronics", "pastry"), 1, False),
)


def places(count: int) -> list[Place]:
    """So many places, the first always the README's shop 011."""
    found = []
    for number in range(1, count + 1):
        name, categories, weight, tips = _KINDS[(number - 1) % len(_KINDS)]
        place_id = f"{number + 10:03d}"
        found.append(Place(place_id, name.format(n=number), weight, categories, tips))
    return found


def _products() -> dict[str, list[Product]]:
    found: dict[str, list[Product]] = {}
    for category, goods in _CATALOGUE.items():
        for name, price, nds_percent in goods:
            product = Product(name, category, Decimal(price), category == _BY_WEIGHT, nds_percent)
            found.setdefault(category, []).append(product)
    return found


def checks(plan: Plan) -> Iterator[Check]:
    """The plan's different checks, in order of sale unless it says otherwise."""
    random_ = random.Random(plan.seed)  # noqa: S311 - made-up sales need no secrecy
    shops = places(plan.places)
    products = _products()
    moments = _moments(plan, random_)
    weights = [shop.weight for shop in shops]
    for number, moment in enumerate(moments):
        shop = random_.choices(shops, weights)[0]
        yield _check(plan, number, moment, shop, products, random_)


def arrivals(plan: Plan) -> list[Arrival]:
    """Everything that is sent, in the order in which it is sent: a repeat or conflict after its first."""
    random_ = random.Random(f"{plan.seed} arrivals")  # noqa: S311 - as above
    keyed: list[tuple[float, int, Arrival]] = []
    count = itertools.count()
    for position, check in enumerate(checks(plan)):
        late = random_.random() < plan.late_share
        at = position + (random_.random() * 0.3 * plan.count if late else 0.0)
        keyed.append((at, next(count), Arrival(check)))
        if random_.random() < plan.repeat_share:
            later = at + 1 + random_.random() * 0.2 * plan.count
            keyed.append((later, next(count), Arrival(check, "repeat")))
        if random_.random() < plan.conflict_share:
            later = at + 1 + random_.random() * 0.2 * plan.count
            keyed.append((later, next(count), Arrival(_altered(check, random_), "conflict")))
    keyed.sort(key=lambda entry: entry[:2])
    return [arrival for _at, _number, arrival in keyed]


def _moments(plan: Plan, random_: random.Random) -> list[datetime]:
    """When the sales were made: whole milliseconds, more of them in busy hours, none after the end."""
    start = plan.end - timedelta(hours=plan.hours)
    slots = max(1, round(plan.hours * 4))
    width = plan.hours * 3600 / slots
    weights = [_BUSY[(start + timedelta(seconds=width * slot)).hour] for slot in range(slots)]
    chosen = random_.choices(range(slots), weights, k=plan.count)
    moments = [start + timedelta(seconds=width * (slot + random_.random())) for slot in chosen]
    moments = [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in moments]
    return moments if plan.shuffled else sorted(moments)


def _check(  # noqa: PLR0917 - one call, above
    plan: Plan,
    number: int,
    moment: datetime,
    shop: Place,
    products: dict[str, list[Product]],
    random_: random.Random,
) -> Check:
    items = []
    lines = Decimal(0)
    nds = Decimal(0)
    for _line in range(min(1 + int(random_.expovariate(0.6)), 12)):
        product = random_.choice(products[random_.choice(shop.categories)])
        quantity = Decimal(random_.randrange(120, 3200)) / 1000 if product.by_weight else Decimal(random_.randint(1, 4))
        price = (product.price * random_.choice((80, 90, 95, 100, 100, 100, 105))) / 100
        price = price.quantize(_CENT, ROUND_HALF_UP)
        items.append(Item(product.product_id, quantity, price, product.category))
        lines += quantity * price
        nds += quantity * price * product.nds_percent / (100 + product.nds_percent)
    total = lines.quantize(_CENT, ROUND_HALF_UP)
    if random_.random() < 0.08:
        total = (total * 95 / 100).quantize(_CENT, ROUND_HALF_UP)
    tips = (
        (total * random_.choice((0, 0, 5, 10)) / 100).quantize(_CENT, ROUND_HALF_UP) if shop.tips else Decimal("0.00")
    )
    return Check(
        transaction_id=f"{plan.id_prefix}-{plan.seed}-{number:07d}",
        timestamp=moment.isoformat(timespec="milliseconds"),
        items=tuple(items),
        total_amount=total + tips,
        nds_amount=nds.quantize(_CENT, ROUND_HALF_UP),
        tips_amount=tips,
        payment_method=random_.choice(_PAYMENTS),
        place_id=shop.place_id,
        place_name=shop.name,
    )


def _altered(check: Check, random_: random.Random) -> Check:
    """The same id with other content: another amount, or another way to pay."""
    if random_.random() < 0.5:
        other = random_.choice([method for method in _PAYMENTS if method != check.payment_method])
        return msgspec.structs.replace(check, payment_method=other)
    return msgspec.structs.replace(check, total_amount=check.total_amount + Decimal("1.00"))


def one_check(plan: Plan, number: int) -> Check:
    """A check of the plan's seed made for the present moment, for load at a rate."""
    return next(checks(replace(plan, seed=plan.seed * 1_000_003 + number, count=1, hours=0.01)))
