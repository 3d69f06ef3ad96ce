# ruff: noqa: E501  (a comment on a column stands on its line)
"""Views for BI tools: local time beside UTC, averages and names ready to use, nothing about accounts."""

from analytics_api.migrations._sql import run

revision = "0005"
down_revision = "0004"

SQL = """
CREATE SCHEMA bi;
COMMENT ON SCHEMA bi IS 'What role checks_bi reads. Local times are in the zone of CHECKS_TIMEZONE.';

CREATE VIEW bi.places AS
SELECT place_id, place_name, purchases, revenue, round(revenue / NULLIF(purchases, 0), 2) AS average_receipt,
       nds, tips, first_sold_at, last_sold_at,
       first_sold_at AT TIME ZONE s.timezone AS first_sold_local, last_sold_at AT TIME ZONE s.timezone AS last_sold_local
FROM figures.place_totals, app.settings s;
COMMENT ON VIEW bi.places IS 'One row for each place, over all time.';

CREATE VIEW bi.place_hours AS
SELECT h.place_id, t.place_name, h.hour_start, h.hour_start AT TIME ZONE s.timezone AS hour_start_local,
       h.purchases, h.revenue, round(h.revenue / NULLIF(h.purchases, 0), 2) AS average_receipt, h.nds, h.tips
FROM figures.place_hours h CROSS JOIN app.settings s LEFT JOIN figures.place_totals t USING (place_id);
COMMENT ON VIEW bi.place_hours IS 'One row for each place and hour with sales.';

CREATE VIEW bi.place_days AS
SELECT d.place_id, t.place_name, d.day_start, d.day_start AT TIME ZONE s.timezone AS day_start_local,
       d.purchases, d.revenue, round(d.revenue / NULLIF(d.purchases, 0), 2) AS average_receipt, d.nds, d.tips
FROM figures.place_days d CROSS JOIN app.settings s LEFT JOIN figures.place_totals t USING (place_id);
COMMENT ON VIEW bi.place_days IS 'One row for each place and UTC day with sales.';

CREATE VIEW bi.category_hours AS
SELECT h.place_id, t.place_name, h.category, h.hour_start, h.hour_start AT TIME ZONE s.timezone AS hour_start_local,
       h.lines, h.checks, h.quantity, round(h.revenue, 2) AS revenue,
       round(h.revenue / NULLIF(h.checks, 0), 2) AS average_receipt
FROM figures.category_hours h CROSS JOIN app.settings s LEFT JOIN figures.place_totals t USING (place_id);
COMMENT ON VIEW bi.category_hours IS 'One row for each place, category and hour with sales.';

CREATE VIEW bi.category_days AS
SELECT d.place_id, t.place_name, d.category, d.day_start, d.day_start AT TIME ZONE s.timezone AS day_start_local,
       d.lines, d.checks, d.quantity, round(d.revenue, 2) AS revenue,
       round(d.revenue / NULLIF(d.checks, 0), 2) AS average_receipt
FROM figures.category_days d CROSS JOIN app.settings s LEFT JOIN figures.place_totals t USING (place_id);
COMMENT ON VIEW bi.category_days IS 'One row for each place, category and UTC day with sales.';

CREATE VIEW bi.all_hours AS
SELECT a.hour_start, a.hour_start AT TIME ZONE s.timezone AS hour_start_local, a.purchases, a.revenue,
       round(a.revenue / NULLIF(a.purchases, 0), 2) AS average_receipt, a.nds, a.tips
FROM figures.all_place_hours a CROSS JOIN app.settings s;
COMMENT ON VIEW bi.all_hours IS 'One row for each hour with sales, over all places.';

CREATE VIEW bi.sales AS
SELECT c.transaction_id, c.place_id, c.place_name, c.sold_at, c.sold_at AT TIME ZONE s.timezone AS sold_at_local,
       c.received_at, c.total_amount, c.nds_amount, c.tips_amount, c.payment_method
FROM figures.sales c CROSS JOIN app.settings s;
COMMENT ON VIEW bi.sales IS 'One row for each check that counts.';

CREATE VIEW bi.sale_lines AS
SELECT l.transaction_id, l.line_no, l.place_id, l.sold_at, l.sold_at AT TIME ZONE s.timezone AS sold_at_local,
       l.product_id, l.category, l.quantity, l.price, l.amount
FROM figures.sale_lines l CROSS JOIN app.settings s;
COMMENT ON VIEW bi.sale_lines IS 'One row for each line of a check that counts.';

CREATE VIEW bi.snapshots AS
SELECT n.place_id, n.hour_start, n.hour_start AT TIME ZONE s.timezone AS hour_start_local, n.revision,
       n.revision = max(n.revision) OVER (PARTITION BY n.place_id, n.hour_start) AS is_latest,
       n.purchases, n.nds, n.tips, n.computed_at
FROM app.snapshots n CROSS JOIN app.settings s;
COMMENT ON VIEW bi.snapshots IS 'Revisions of each finished hour of each place.';
"""


def upgrade() -> None:
    """Make the views for BI tools."""
    run(SQL)
