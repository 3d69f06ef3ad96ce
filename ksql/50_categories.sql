-- Figures of each category at each place, by hour and by day (UTC).
-- The key has two columns, which only a JSON key can hold; the sink reads them from the value.
-- revenue stays at 5 digits and is rounded when it is read: rounded lines would not add up.

CREATE TABLE category_hours WITH (KAFKA_TOPIC='category_hours', KEY_FORMAT='JSON', VALUE_FORMAT='AVRO') AS
SELECT
  place_key,
  category AS category_key,
  AS_VALUE(place_key) AS place_id,
  AS_VALUE(category) AS category,
  FROM_UNIXTIME(WINDOWSTART) AS hour_start,
  COUNT(*) AS lines,
  SUM(CAST(first_of_category AS BIGINT)) AS checks,
  SUM(CAST(quantity AS DECIMAL(38,3))) AS quantity,
  SUM(amount) AS revenue
FROM sale_lines
WINDOW TUMBLING (SIZE 1 HOUR, RETENTION 3660 DAYS, GRACE PERIOD 3653 DAYS)
GROUP BY place_key, category
EMIT CHANGES;

CREATE TABLE category_days WITH (KAFKA_TOPIC='category_days', KEY_FORMAT='JSON', VALUE_FORMAT='AVRO') AS
SELECT
  place_key,
  category AS category_key,
  AS_VALUE(place_key) AS place_id,
  AS_VALUE(category) AS category,
  FROM_UNIXTIME(WINDOWSTART) AS day_start,
  COUNT(*) AS lines,
  SUM(CAST(first_of_category AS BIGINT)) AS checks,
  SUM(CAST(quantity AS DECIMAL(38,3))) AS quantity,
  SUM(amount) AS revenue
FROM sale_lines
WINDOW TUMBLING (SIZE 1 DAY, RETENTION 3660 DAYS, GRACE PERIOD 3653 DAYS)
GROUP BY place_key, category
EMIT CHANGES;
