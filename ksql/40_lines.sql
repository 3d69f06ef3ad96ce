-- One record a line of a sale.

-- Takes the lines apart and numbers them, and tells of each whether it is the first with its category in its check.
-- Several EXPLODEs in one SELECT go in step. The flags are worked out here, where the whole check is at hand: carrying
-- the check's categories along with every line would make a check of n lines n² long.
CREATE STREAM numbered_lines WITH (KAFKA_TOPIC='numbered_lines', VALUE_FORMAT='AVRO', RETENTION_MS=-1) AS
SELECT
  place_key,
  place_id,
  transaction_id,
  sold_at,
  EXPLODE(items) AS item,
  EXPLODE(GENERATE_SERIES(1, ARRAY_LENGTH(items))) AS line_no,
  EXPLODE(TRANSFORM(
    GENERATE_SERIES(1, ARRAY_LENGTH(items)),
    n => CASE WHEN ARRAY_CONTAINS(SLICE(categories, 1, n - 1), categories[n]) THEN 0 ELSE 1 END
  )) AS first_of_category
FROM sales
EMIT CHANGES;

-- quantity has 3 digits and price 2: their product is exact in 5. Summing first_of_category counts the checks
-- that contain a category, which summing lines would not.
CREATE STREAM sale_lines WITH (KAFKA_TOPIC='sale_lines', VALUE_FORMAT='AVRO', RETENTION_MS=-1) AS
SELECT
  place_key,
  place_id,
  transaction_id,
  line_no,
  sold_at,
  item->product_id AS product_id,
  item->category AS category,
  item->quantity AS quantity,
  item->price AS price,
  CAST(item->quantity * item->price AS DECIMAL(38,5)) AS amount,
  first_of_category
FROM numbered_lines
EMIT CHANGES;
