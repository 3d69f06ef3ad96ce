-- Figures of each place: over all time, by hour and by day (UTC).
-- Money is widened to 38 digits before SUM, which keeps its argument's precision and stalls when it overflows.
-- A sale may come up to ten years late: hence GRACE PERIOD, and RETENTION a week longer than it.

-- The name a place had last, and when it sold first and last.
CREATE TABLE place_totals WITH (KAFKA_TOPIC='place_totals', VALUE_FORMAT='AVRO') AS
SELECT
  place_key,
  AS_VALUE(place_key) AS place_id,
  LATEST_BY_OFFSET(place_name) AS place_name,
  COUNT(*) AS purchases,
  SUM(CAST(total_amount AS DECIMAL(38,2))) AS revenue,
  SUM(CAST(nds_amount AS DECIMAL(38,2))) AS nds,
  SUM(CAST(tips_amount AS DECIMAL(38,2))) AS tips,
  MIN(sold_at) AS first_sold_at,
  MAX(sold_at) AS last_sold_at
FROM sales
GROUP BY place_key
EMIT CHANGES;

-- The sink cannot read a windowed key, so the hour is a column of its own.
CREATE TABLE place_hours WITH (KAFKA_TOPIC='place_hours', VALUE_FORMAT='AVRO') AS
SELECT
  place_key,
  AS_VALUE(place_key) AS place_id,
  FROM_UNIXTIME(WINDOWSTART) AS hour_start,
  COUNT(*) AS purchases,
  SUM(CAST(total_amount AS DECIMAL(38,2))) AS revenue,
  SUM(CAST(nds_amount AS DECIMAL(38,2))) AS nds,
  SUM(CAST(tips_amount AS DECIMAL(38,2))) AS tips
FROM sales
WINDOW TUMBLING (SIZE 1 HOUR, RETENTION 3660 DAYS, GRACE PERIOD 3653 DAYS)
GROUP BY place_key
EMIT CHANGES;

-- Long intervals are read as whole days plus the hours at their edges.
CREATE TABLE place_days WITH (KAFKA_TOPIC='place_days', VALUE_FORMAT='AVRO') AS
SELECT
  place_key,
  AS_VALUE(place_key) AS place_id,
  FROM_UNIXTIME(WINDOWSTART) AS day_start,
  COUNT(*) AS purchases,
  SUM(CAST(total_amount AS DECIMAL(38,2))) AS revenue,
  SUM(CAST(nds_amount AS DECIMAL(38,2))) AS nds,
  SUM(CAST(tips_amount AS DECIMAL(38,2))) AS tips
FROM sales
WINDOW TUMBLING (SIZE 1 DAY, RETENTION 3660 DAYS, GRACE PERIOD 3653 DAYS)
GROUP BY place_key
EMIT CHANGES;
