-- Where checks come in, and which of them is the first with its transaction_id.

-- One record an accepted POST, written by intake; columns come from the registry (schemas/check.avsc).
-- The record's key is the transaction_id, so that all arrivals of one id lie in one partition, in order.
CREATE STREAM checks (check_key STRING KEY) WITH (KAFKA_TOPIC='checks', VALUE_FORMAT='AVRO');

-- No cache: with one, two quick arrivals would leave only the update "arrivals = 2",
-- nobody would ever see "arrivals = 1", and the sale would be lost.
SET 'cache.max.bytes.buffering'='0';

-- Counts the arrivals of each id and keeps the content of the first beside that of the last.
-- The window is a session by time of arrival (topic checks has LogAppendTime): an id is remembered until it has been silent
-- for 30 days. RETENTION is longer than gap and grace together, or a late merge would find its session gone.
-- Every field of a check is required, so that *_BY_OFFSET, which skip nulls, always speak of the same check.
-- The topic is made by topics.json before this statement runs: cleanup.policy=delete, kept forever. As ksqlDB would make it,
-- compaction could take the first arrival of a repeated check before a reader that is behind has seen it.
CREATE TABLE check_arrivals WITH (KAFKA_TOPIC='check_arrivals', VALUE_FORMAT='AVRO') AS
SELECT
  check_key,
  AS_VALUE(check_key) AS transaction_id,
  EARLIEST_BY_OFFSET(`TIMESTAMP`) AS sold_at,
  EARLIEST_BY_OFFSET(received_at) AS received_at,
  EARLIEST_BY_OFFSET(items) AS items,
  EARLIEST_BY_OFFSET(total_amount) AS total_amount,
  EARLIEST_BY_OFFSET(nds_amount) AS nds_amount,
  EARLIEST_BY_OFFSET(tips_amount) AS tips_amount,
  EARLIEST_BY_OFFSET(payment_method) AS payment_method,
  EARLIEST_BY_OFFSET(place_id) AS place_id,
  EARLIEST_BY_OFFSET(place_name) AS place_name,
  EARLIEST_BY_OFFSET(content_hash) AS content_hash,
  LATEST_BY_OFFSET(`TIMESTAMP`) AS last_sold_at,
  LATEST_BY_OFFSET(received_at) AS last_received_at,
  LATEST_BY_OFFSET(items) AS last_items,
  LATEST_BY_OFFSET(total_amount) AS last_total_amount,
  LATEST_BY_OFFSET(nds_amount) AS last_nds_amount,
  LATEST_BY_OFFSET(tips_amount) AS last_tips_amount,
  LATEST_BY_OFFSET(payment_method) AS last_payment_method,
  LATEST_BY_OFFSET(place_id) AS last_place_id,
  LATEST_BY_OFFSET(place_name) AS last_place_name,
  LATEST_BY_OFFSET(content_hash) AS last_content_hash,
  COUNT(*) AS arrivals
FROM checks
WINDOW SESSION (30 DAYS, RETENTION 32 DAYS, GRACE PERIOD 1 DAY)
GROUP BY check_key
EMIT CHANGES;

-- The queries below may coalesce updates of a key: only their last value counts.
SET 'cache.max.bytes.buffering'='10000000';

-- The same topic read as a stream of updates. It declares neither key nor window, for a windowed table cannot be
-- repartitioned, and lists no columns: they come from the registry.
CREATE STREAM arrivals WITH (KAFKA_TOPIC='check_arrivals', VALUE_FORMAT='AVRO');
