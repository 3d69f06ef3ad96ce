-- Each transaction_id once, and everything that arrived for it again.

-- First arrivals: the sales that all figures are made of. From here on event time is the time of the sale.
-- Keyed by place, so that all figures of one place are computed in one partition, in order.
-- categories stands beside items for 40_lines.sql, once a check instead of once a line.
CREATE STREAM sales WITH (KAFKA_TOPIC='sales', VALUE_FORMAT='AVRO', RETENTION_MS=-1, TIMESTAMP='sold_at') AS
SELECT
  place_id AS place_key,
  AS_VALUE(place_id) AS place_id,
  transaction_id,
  sold_at,
  received_at,
  items,
  TRANSFORM(items, i => i->category) AS categories,
  total_amount,
  nds_amount,
  tips_amount,
  payment_method,
  place_name,
  content_hash
FROM arrivals
WHERE arrivals = 1
PARTITION BY place_id
EMIT CHANGES;

-- Second and later arrivals: they count in no figure; the administrator sees them, and whether they said something else.
CREATE STREAM repeated_checks WITH (KAFKA_TOPIC='repeated_checks', VALUE_FORMAT='AVRO', RETENTION_MS=-1) AS
SELECT
  transaction_id,
  arrivals,
  last_received_at AS received_at,
  content_hash <> last_content_hash AS is_conflict,
  last_place_id AS place_id,
  place_id AS first_place_id,
  last_place_name AS place_name,
  last_sold_at AS sold_at,
  last_total_amount AS total_amount,
  last_nds_amount AS nds_amount,
  last_tips_amount AS tips_amount,
  last_payment_method AS payment_method,
  TO_JSON_STRING(last_items) AS items_json,
  last_content_hash AS content_hash,
  content_hash AS first_content_hash
FROM arrivals
WHERE arrivals > 1
EMIT CHANGES;
