"""How later versions of a statement are made from its text."""

from ksql.tokens import rename

NAMES = {"SALES": "SALES_V2", "ARRIVALS": "ARRIVALS_V2"}
TOPICS = {"sales": "sales_v2"}


def test_names_are_replaced_where_a_source_can_stand() -> None:
    """CREATE, FROM and a column's qualifier follow; everything else is left as it was written."""
    text = "CREATE STREAM sales WITH (KAFKA_TOPIC='sales') AS SELECT arrivals.x AS sales, arrivals FROM arrivals"
    expected = (
        "CREATE STREAM sales_v2 WITH (KAFKA_TOPIC='sales_v2') AS "
        "SELECT arrivals_v2.x AS sales, arrivals FROM arrivals_v2"
    )
    assert expected == rename(text, NAMES, TOPICS)


def test_comments_and_strings_are_left_alone() -> None:
    """A name in a comment or in another string is no name."""
    text = "SELECT 'FROM sales' FROM x -- FROM sales\n/* JOIN sales */ WHERE y = 'sales'"
    assert text == rename(text, NAMES, TOPICS)


def test_joins_inserts_and_quoted_names_follow() -> None:
    """JOIN, INSERT INTO and backquotes are places of names, too."""
    text = "INSERT INTO `SALES` SELECT * FROM a JOIN ARRIVALS b ON a.k = b.k"
    assert rename(text, NAMES, TOPICS) == "INSERT INTO `SALES_V2` SELECT * FROM a JOIN ARRIVALS_V2 b ON a.k = b.k"


def test_a_field_of_a_struct_is_no_qualifier() -> None:
    """item->sales.x cannot name a source."""
    assert rename("SELECT item->sales FROM x", NAMES, TOPICS) == "SELECT item->sales FROM x"


def test_only_the_topic_property_is_a_topic() -> None:
    """TIMESTAMP='sales' stays."""
    text = "WITH (KAFKA_TOPIC = 'sales', TIMESTAMP='sales')"
    assert rename(text, NAMES, TOPICS) == "WITH (KAFKA_TOPIC = 'sales_v2', TIMESTAMP='sales')"
