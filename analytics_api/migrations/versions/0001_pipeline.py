# ruff: noqa: E501, S608  (a comment on a column stands on its line; the SQL is put together from names in this file alone)
"""Tables that the connectors write, in versions, and the views in schema `figures` that everybody reads them through.

The tables are described once, in schema `pipeline_template`, which never holds a row. `pipeline_create(n)` copies it to
`pipeline_v<n>`: tables, keys, indexes, comments, triggers and their functions. A rebuild fills a new version beside the one
that is read; `pipeline_switch(n)` re-points the views in one transaction; `pipeline_drop(n)` removes what is no longer read.
"""

from analytics_api.migrations._sql import run

revision = "0001"
down_revision = None

TABLES = """
CREATE SCHEMA pipeline_template;
COMMENT ON SCHEMA pipeline_template IS 'Shape of every pipeline version; pipeline_create copies it. Never holds a row.';
CREATE SCHEMA figures;
COMMENT ON SCHEMA figures IS 'Views of the pipeline version that is read now; pipeline_switch re-points them.';

CREATE TABLE pipeline_template.sales (
    transaction_id text PRIMARY KEY,
    place_id       text,
    place_name     text,
    sold_at        timestamptz,
    received_at    timestamptz,
    total_amount   numeric,
    nds_amount     numeric,
    tips_amount    numeric,
    payment_method text,
    content_hash   text
);
COMMENT ON TABLE pipeline_template.sales IS 'One row for each check: the first arrival of its transaction_id.';
COMMENT ON COLUMN pipeline_template.sales.transaction_id IS 'Identity of the check';
COMMENT ON COLUMN pipeline_template.sales.place_id IS 'Place of the sale, as sent; a string, leading zeros count';
COMMENT ON COLUMN pipeline_template.sales.place_name IS 'Name of the place as this check gave it';
COMMENT ON COLUMN pipeline_template.sales.sold_at IS 'When the sale was made, by the till';
COMMENT ON COLUMN pipeline_template.sales.received_at IS 'When intake received this arrival';
COMMENT ON COLUMN pipeline_template.sales.total_amount IS 'Money paid, as sent; need not equal the sum of the lines';
COMMENT ON COLUMN pipeline_template.sales.nds_amount IS 'VAT within the total';
COMMENT ON COLUMN pipeline_template.sales.tips_amount IS 'Tips';
COMMENT ON COLUMN pipeline_template.sales.payment_method IS 'How it was paid, as sent';
COMMENT ON COLUMN pipeline_template.sales.content_hash IS 'SHA-256 of the content, hex; tells a repeat from a conflict';
CREATE INDEX sales_received ON pipeline_template.sales (received_at, transaction_id);
CREATE INDEX sales_sold ON pipeline_template.sales (sold_at, transaction_id);
CREATE INDEX sales_place_sold ON pipeline_template.sales (place_id, sold_at, transaction_id);

CREATE TABLE pipeline_template.sale_lines (
    transaction_id    text,
    line_no           integer,
    place_id          text,
    sold_at           timestamptz,
    product_id        text,
    category          text,
    quantity          numeric,
    price             numeric,
    amount            numeric,
    first_of_category integer,
    PRIMARY KEY (transaction_id, line_no)
);
COMMENT ON TABLE pipeline_template.sale_lines IS 'Lines of the checks in sales.';
COMMENT ON COLUMN pipeline_template.sale_lines.transaction_id IS 'The check that the line belongs to';
COMMENT ON COLUMN pipeline_template.sale_lines.line_no IS 'Position in the check, from 1';
COMMENT ON COLUMN pipeline_template.sale_lines.place_id IS 'Place of the sale';
COMMENT ON COLUMN pipeline_template.sale_lines.sold_at IS 'When the sale was made';
COMMENT ON COLUMN pipeline_template.sale_lines.product_id IS 'What was sold, as sent';
COMMENT ON COLUMN pipeline_template.sale_lines.category IS 'Category of the goods, as sent';
COMMENT ON COLUMN pipeline_template.sale_lines.quantity IS 'Pieces, or kilograms for goods by weight; 3 digits';
COMMENT ON COLUMN pipeline_template.sale_lines.price IS 'Price of one unit; 2 digits';
COMMENT ON COLUMN pipeline_template.sale_lines.amount IS 'quantity x price; 5 digits, not rounded';
COMMENT ON COLUMN pipeline_template.sale_lines.first_of_category IS '1 on the first line of its category within the check, otherwise 0: their sum counts checks';

CREATE TABLE pipeline_template.repeated_checks (
    transaction_id     text,
    arrivals           bigint,
    received_at        timestamptz,
    is_conflict        boolean,
    place_id           text,
    first_place_id     text,
    place_name         text,
    sold_at            timestamptz,
    total_amount       numeric,
    nds_amount         numeric,
    tips_amount        numeric,
    payment_method     text,
    items_json         text,
    content_hash       text,
    first_content_hash text,
    PRIMARY KEY (transaction_id, arrivals)
);
COMMENT ON TABLE pipeline_template.repeated_checks IS 'Second and later arrivals of a transaction_id; they count in no figure.';
COMMENT ON COLUMN pipeline_template.repeated_checks.transaction_id IS 'Identity of the check';
COMMENT ON COLUMN pipeline_template.repeated_checks.arrivals IS 'Which arrival this is, from 2';
COMMENT ON COLUMN pipeline_template.repeated_checks.received_at IS 'When intake received this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.is_conflict IS 'Whether its content differs from the first arrival''s';
COMMENT ON COLUMN pipeline_template.repeated_checks.place_id IS 'Place that this arrival names';
COMMENT ON COLUMN pipeline_template.repeated_checks.first_place_id IS 'Place that the first arrival named';
COMMENT ON COLUMN pipeline_template.repeated_checks.place_name IS 'Name of the place in this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.sold_at IS 'Time of the sale in this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.total_amount IS 'Money paid in this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.nds_amount IS 'VAT in this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.tips_amount IS 'Tips in this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.payment_method IS 'Payment method in this arrival';
COMMENT ON COLUMN pipeline_template.repeated_checks.items_json IS 'Items of this arrival as JSON, names in upper case';
COMMENT ON COLUMN pipeline_template.repeated_checks.content_hash IS 'Hash of this arrival''s content';
COMMENT ON COLUMN pipeline_template.repeated_checks.first_content_hash IS 'Hash of the first arrival''s content';
CREATE INDEX repeated_checks_received ON pipeline_template.repeated_checks (received_at, transaction_id, arrivals);
CREATE INDEX repeated_checks_sold ON pipeline_template.repeated_checks (sold_at, transaction_id, arrivals);
CREATE INDEX repeated_checks_place_sold ON pipeline_template.repeated_checks (place_id, sold_at, transaction_id, arrivals);

CREATE TABLE pipeline_template.rejected_checks (
    rejection_id   text PRIMARY KEY,
    received_at    timestamptz,
    request_id     text,
    source_address text,
    transaction_id text,
    reasons_json   text,
    body           text,
    body_encoding  text
);
COMMENT ON TABLE pipeline_template.rejected_checks IS 'What intake refused, with the reasons; counts in no figure.';
COMMENT ON COLUMN pipeline_template.rejected_checks.rejection_id IS 'UUID that intake gave the refusal';
COMMENT ON COLUMN pipeline_template.rejected_checks.received_at IS 'When intake received it';
COMMENT ON COLUMN pipeline_template.rejected_checks.request_id IS 'X-Request-Id of the request';
COMMENT ON COLUMN pipeline_template.rejected_checks.source_address IS 'Address that sent it';
COMMENT ON COLUMN pipeline_template.rejected_checks.transaction_id IS 'Identity of the check, where it could be read';
COMMENT ON COLUMN pipeline_template.rejected_checks.reasons_json IS 'JSON list of {pointer, detail}';
COMMENT ON COLUMN pipeline_template.rejected_checks.body IS 'The check as received';
COMMENT ON COLUMN pipeline_template.rejected_checks.body_encoding IS 'utf-8, or base64 where the bytes are no UTF-8';
CREATE INDEX rejected_checks_received ON pipeline_template.rejected_checks (received_at, rejection_id);
CREATE INDEX rejected_checks_transaction ON pipeline_template.rejected_checks (transaction_id, received_at);

CREATE TABLE pipeline_template.place_totals (
    place_id      text PRIMARY KEY,
    place_name    text,
    purchases     bigint,
    revenue       numeric,
    nds           numeric,
    tips          numeric,
    first_sold_at timestamptz,
    last_sold_at  timestamptz
);
COMMENT ON TABLE pipeline_template.place_totals IS 'One row for each place, over all time.';
COMMENT ON COLUMN pipeline_template.place_totals.place_id IS 'The place';
COMMENT ON COLUMN pipeline_template.place_totals.place_name IS 'Its name in the check that was counted last';
COMMENT ON COLUMN pipeline_template.place_totals.purchases IS 'Number of checks';
COMMENT ON COLUMN pipeline_template.place_totals.revenue IS 'Sum of total_amount';
COMMENT ON COLUMN pipeline_template.place_totals.nds IS 'Sum of nds_amount';
COMMENT ON COLUMN pipeline_template.place_totals.tips IS 'Sum of tips_amount';
COMMENT ON COLUMN pipeline_template.place_totals.first_sold_at IS 'Time of the earliest sale';
COMMENT ON COLUMN pipeline_template.place_totals.last_sold_at IS 'Time of the latest sale';

CREATE TABLE pipeline_template.place_hours (
    place_id   text,
    hour_start timestamptz,
    purchases  bigint,
    revenue    numeric,
    nds        numeric,
    tips       numeric,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (place_id, hour_start)
) WITH (fillfactor = 80);
COMMENT ON TABLE pipeline_template.place_hours IS 'Sums over one hour of sales at one place.';
COMMENT ON COLUMN pipeline_template.place_hours.place_id IS 'The place';
COMMENT ON COLUMN pipeline_template.place_hours.hour_start IS 'Beginning of the hour (UTC''s hours)';
COMMENT ON COLUMN pipeline_template.place_hours.purchases IS 'Number of checks';
COMMENT ON COLUMN pipeline_template.place_hours.revenue IS 'Sum of total_amount';
COMMENT ON COLUMN pipeline_template.place_hours.nds IS 'Sum of nds_amount';
COMMENT ON COLUMN pipeline_template.place_hours.tips IS 'Sum of tips_amount';
COMMENT ON COLUMN pipeline_template.place_hours.updated_at IS 'When this row was written last, by PostgreSQL''s clock';
CREATE INDEX place_hours_updated ON pipeline_template.place_hours (updated_at);

CREATE TABLE pipeline_template.place_days (
    place_id  text,
    day_start timestamptz,
    purchases bigint,
    revenue   numeric,
    nds       numeric,
    tips      numeric,
    PRIMARY KEY (place_id, day_start)
) WITH (fillfactor = 80);
COMMENT ON TABLE pipeline_template.place_days IS 'Sums over one day (UTC''s days) of sales at one place.';
COMMENT ON COLUMN pipeline_template.place_days.place_id IS 'The place';
COMMENT ON COLUMN pipeline_template.place_days.day_start IS 'Beginning of the day (UTC''s days)';
COMMENT ON COLUMN pipeline_template.place_days.purchases IS 'Number of checks';
COMMENT ON COLUMN pipeline_template.place_days.revenue IS 'Sum of total_amount';
COMMENT ON COLUMN pipeline_template.place_days.nds IS 'Sum of nds_amount';
COMMENT ON COLUMN pipeline_template.place_days.tips IS 'Sum of tips_amount';

-- The key's columns stand in the order that a place's interval is read in; ON CONFLICT takes them in any order.
CREATE TABLE pipeline_template.category_hours (
    place_id   text,
    category   text,
    hour_start timestamptz,
    lines      bigint,
    checks     bigint,
    quantity   numeric,
    revenue    numeric,
    PRIMARY KEY (place_id, hour_start, category)
) WITH (fillfactor = 80);
COMMENT ON TABLE pipeline_template.category_hours IS 'Sums over one hour of one category''s lines at one place.';
COMMENT ON COLUMN pipeline_template.category_hours.place_id IS 'The place';
COMMENT ON COLUMN pipeline_template.category_hours.category IS 'The category';
COMMENT ON COLUMN pipeline_template.category_hours.hour_start IS 'Beginning of the hour (UTC''s hours)';
COMMENT ON COLUMN pipeline_template.category_hours.lines IS 'Number of lines';
COMMENT ON COLUMN pipeline_template.category_hours.checks IS 'Number of checks that contain the category';
COMMENT ON COLUMN pipeline_template.category_hours.quantity IS 'Sum of quantity; 3 digits';
COMMENT ON COLUMN pipeline_template.category_hours.revenue IS 'Sum of quantity x price; 5 digits';

CREATE TABLE pipeline_template.category_days (
    place_id  text,
    category  text,
    day_start timestamptz,
    lines     bigint,
    checks    bigint,
    quantity  numeric,
    revenue   numeric,
    PRIMARY KEY (place_id, day_start, category)
) WITH (fillfactor = 80);
COMMENT ON TABLE pipeline_template.category_days IS 'Sums over one day (UTC''s days) of one category''s lines at one place.';
COMMENT ON COLUMN pipeline_template.category_days.place_id IS 'The place';
COMMENT ON COLUMN pipeline_template.category_days.category IS 'The category';
COMMENT ON COLUMN pipeline_template.category_days.day_start IS 'Beginning of the day (UTC''s days)';
COMMENT ON COLUMN pipeline_template.category_days.lines IS 'Number of lines';
COMMENT ON COLUMN pipeline_template.category_days.checks IS 'Number of checks that contain the category';
COMMENT ON COLUMN pipeline_template.category_days.quantity IS 'Sum of quantity; 3 digits';
COMMENT ON COLUMN pipeline_template.category_days.revenue IS 'Sum of quantity x price; 5 digits';
"""

# Totals over all places, kept by triggers in the transaction that changes a place's row (docs/decisions/0010).
ROLLUPS = """
CREATE TABLE pipeline_template.all_place_hours (
    hour_start timestamptz PRIMARY KEY,
    purchases  bigint NOT NULL,
    revenue    numeric NOT NULL,
    nds        numeric NOT NULL,
    tips       numeric NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE pipeline_template.all_place_hours IS 'place_hours summed over all places; kept by triggers on it.';
CREATE TABLE pipeline_template.all_place_days (
    day_start timestamptz PRIMARY KEY,
    purchases bigint NOT NULL,
    revenue   numeric NOT NULL,
    nds       numeric NOT NULL,
    tips      numeric NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE pipeline_template.all_place_days IS 'place_days summed over all places; kept by triggers on it.';
CREATE TABLE pipeline_template.all_category_hours (
    hour_start timestamptz,
    category   text,
    lines      bigint NOT NULL,
    checks     bigint NOT NULL,
    quantity   numeric NOT NULL,
    revenue    numeric NOT NULL,
    PRIMARY KEY (hour_start, category)
) WITH (fillfactor = 50);
COMMENT ON TABLE pipeline_template.all_category_hours IS 'category_hours summed over all places; kept by triggers on it.';
CREATE TABLE pipeline_template.all_category_days (
    day_start timestamptz,
    category  text,
    lines     bigint NOT NULL,
    checks    bigint NOT NULL,
    quantity  numeric NOT NULL,
    revenue   numeric NOT NULL,
    PRIMARY KEY (day_start, category)
) WITH (fillfactor = 50);
COMMENT ON TABLE pipeline_template.all_category_days IS 'category_days summed over all places; kept by triggers on it.';

CREATE TABLE pipeline_template.changes (
    table_name text PRIMARY KEY,
    change_no  bigint NOT NULL,
    changed_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE pipeline_template.changes IS 'Counts the statements that changed a table: the same number means the same figures.';
COMMENT ON COLUMN pipeline_template.changes.change_no IS 'Grows with every statement that changed the table';
COMMENT ON COLUMN pipeline_template.changes.changed_at IS 'When that was, by PostgreSQL''s clock';
"""

TRIGGERS = """
-- Taken before the statement locks its first row, so that two writers of one table can wait but never deadlock.
CREATE FUNCTION pipeline_template.one_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(6170, TG_RELID::integer);
    RETURN NULL;
END $$;

CREATE FUNCTION pipeline_template.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION pipeline_template.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pipeline_template.changes AS c (table_name, change_no, changed_at)
    VALUES (TG_TABLE_NAME, 1, clock_timestamp())
    ON CONFLICT (table_name) DO UPDATE SET change_no = c.change_no + 1, changed_at = EXCLUDED.changed_at;
    RETURN NULL;
END $$;
"""


def _roll_up(table: str, keys: str, sums: tuple[str, ...]) -> str:
    """Triggers that keep `all_<table>` equal to `table` summed by `keys`, whatever statement changes it."""
    target = f"pipeline_template.all_{table}"
    columns = ", ".join(sums)
    added = ", ".join(f"COALESCE({c}, 0) AS {c}" for c in sums)
    removed = ", ".join(f"-COALESCE({c}, 0) AS {c}" for c in sums)
    totals = ", ".join(f"sum({c}) AS {c}" for c in sums)
    update = ", ".join(f"{c} = t.{c} + EXCLUDED.{c}" for c in sums)
    changed = " OR ".join(f"sum({c}) <> 0" for c in sums)

    def fold(rows: str) -> str:
        return (
            f"INSERT INTO {target} AS t ({keys}, {columns}) "
            f"SELECT {keys}, {totals} FROM ({rows}) d GROUP BY {keys} HAVING {changed} ORDER BY {keys} "
            f"ON CONFLICT ({keys}) DO UPDATE SET {update};"
        )

    new = f"SELECT {keys}, {added} FROM new_rows"
    old = f"SELECT {keys}, {removed} FROM old_rows"
    one_writer = f"""
CREATE TRIGGER a_one_writer BEFORE INSERT OR UPDATE OR DELETE ON pipeline_template.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION pipeline_template.one_writer();"""
    parts = [one_writer]
    for event, referencing, rows in (
        ("insert", "NEW TABLE AS new_rows", new),
        ("update", "OLD TABLE AS old_rows NEW TABLE AS new_rows", f"{new} UNION ALL {old}"),
        ("delete", "OLD TABLE AS old_rows", old),
    ):
        function = f"pipeline_template.roll_up_{table}_{event}"
        source = "new_rows" if event != "delete" else "old_rows"
        parts.append(f"""
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM {source}) THEN RETURN NULL; END IF;
    {fold(rows)}
    INSERT INTO pipeline_template.changes AS c (table_name, change_no, changed_at)
    VALUES (TG_TABLE_NAME, 1, clock_timestamp())
    ON CONFLICT (table_name) DO UPDATE SET change_no = c.change_no + 1, changed_at = EXCLUDED.changed_at;
    RETURN NULL;
END $$;
CREATE TRIGGER roll_up_{event} AFTER {event.upper()} ON pipeline_template.{table}
    REFERENCING {referencing} FOR EACH STATEMENT EXECUTE FUNCTION {function}();""")
    parts.append(f"""
CREATE FUNCTION pipeline_template.roll_up_{table}_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM {target};
    RETURN NULL;
END $$;
CREATE TRIGGER roll_up_truncate AFTER TRUNCATE ON pipeline_template.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION pipeline_template.roll_up_{table}_truncate();
CREATE TRIGGER note_truncate AFTER TRUNCATE ON pipeline_template.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION pipeline_template.note_change();""")
    return "\n".join(parts)


PLACE_SUMS = ("purchases", "revenue", "nds", "tips")
CATEGORY_SUMS = ("lines", "checks", "quantity", "revenue")

OTHER_TRIGGERS = """
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON pipeline_template.place_hours
    FOR EACH ROW EXECUTE FUNCTION pipeline_template.touch();
CREATE TRIGGER a_one_writer BEFORE INSERT OR UPDATE OR DELETE ON pipeline_template.place_totals
    FOR EACH STATEMENT EXECUTE FUNCTION pipeline_template.one_writer();
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pipeline_template.place_totals
    FOR EACH STATEMENT EXECUTE FUNCTION pipeline_template.note_change();
"""

FUNCTIONS = """
CREATE TABLE app.pipelines (
    version     integer PRIMARY KEY,
    created_at  timestamptz NOT NULL DEFAULT now(),
    switched_at timestamptz,
    is_read     boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX pipelines_one_read ON app.pipelines (is_read) WHERE is_read;
COMMENT ON TABLE app.pipelines IS 'Versions of the pipeline''s tables; the views in schema figures show one of them.';
COMMENT ON COLUMN app.pipelines.is_read IS 'Whether the views show this version';

-- Gives every role what it needs on what is there now; roles that do not exist are left out.
CREATE FUNCTION app.grant_rights() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s text;
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'checks_sink') THEN
        FOR s IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^pipeline_v[0-9]+$' ORDER BY 1 LOOP
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO checks_sink', s);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO checks_sink', s);
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'checks_api') THEN
        GRANT USAGE ON SCHEMA app, figures TO checks_api;
        GRANT SELECT ON ALL TABLES IN SCHEMA figures TO checks_api;
        GRANT SELECT ON ALL TABLES IN SCHEMA app TO checks_api;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO checks_api;
        -- What is append-only stays so for the service too.
        FOR s IN SELECT tablename FROM pg_tables WHERE schemaname = 'app'
                 AND tablename NOT IN ('migrations', 'pipelines', 'settings') ORDER BY 1 LOOP
            IF s IN ('audit', 'snapshots', 'snapshot_runs') THEN
                EXECUTE format('GRANT INSERT ON app.%I TO checks_api', s);
            ELSE
                EXECUTE format('GRANT INSERT, UPDATE, DELETE ON app.%I TO checks_api', s);
            END IF;
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'checks_bi')
       AND EXISTS (SELECT FROM pg_namespace WHERE nspname = 'bi') THEN
        GRANT USAGE ON SCHEMA bi TO checks_bi;
        GRANT SELECT ON ALL TABLES IN SCHEMA bi TO checks_bi;
    END IF;
END $$;
COMMENT ON FUNCTION app.grant_rights() IS 'Gives checks_sink, checks_api and checks_bi their rights; safe to call again';

CREATE FUNCTION pipeline_create(version integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target text := 'pipeline_v' || version;
    r record;
BEGIN
    IF version < 1 THEN
        RAISE EXCEPTION 'a pipeline version is a number from 1, not %', version;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('pipeline versions'));
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', target);
    FOR r IN SELECT c.relname, obj_description(c.oid, 'pg_class') AS comment, c.reloptions FROM pg_class c
             WHERE c.relnamespace = 'pipeline_template'::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
        IF to_regclass(format('%I.%I', target, r.relname)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I.%I (LIKE pipeline_template.%I INCLUDING ALL)%s', target, r.relname, r.relname,
                           COALESCE(' WITH (' || array_to_string(r.reloptions, ', ') || ')', ''));
            EXECUTE format('COMMENT ON TABLE %I.%I IS %L', target, r.relname, r.comment);
        END IF;
    END LOOP;
    FOR r IN SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p
             WHERE p.pronamespace = 'pipeline_template'::regnamespace ORDER BY p.proname LOOP
        EXECUTE replace(r.definition, 'pipeline_template.', target || '.');
    END LOOP;
    FOR r IN SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid) AS definition FROM pg_trigger t
             JOIN pg_class c ON c.oid = t.tgrelid
             WHERE c.relnamespace = 'pipeline_template'::regnamespace AND NOT t.tgisinternal ORDER BY 1, 2 LOOP
        IF NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = format('%I.%I', target, r.relname)::regclass
                       AND t.tgname = r.tgname) THEN
            EXECUTE replace(r.definition, 'pipeline_template.', target || '.');
        END IF;
    END LOOP;
    INSERT INTO app.pipelines (version) VALUES (pipeline_create.version) ON CONFLICT DO NOTHING;
    PERFORM app.grant_rights();
END $$;
COMMENT ON FUNCTION pipeline_create(integer) IS
    'Makes schema pipeline_v<version> with empty tables as in pipeline_template, or adds what an existing one lacks';

CREATE FUNCTION pipeline_switch(version integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    target text := 'pipeline_v' || version;
    r record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pipeline versions'));
    IF NOT EXISTS (SELECT FROM app.pipelines p WHERE p.version = pipeline_switch.version) THEN
        RAISE EXCEPTION 'there is no pipeline version %', version;
    END IF;
    -- Readers hold this shared for their transaction: nobody sees half of one version and half of another.
    PERFORM pg_advisory_xact_lock(hashtext('figures views'));
    FOR r IN SELECT c.relname, obj_description(c.oid, 'pg_class') AS comment,
                    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
             FROM pg_class c
             WHERE c.relnamespace = target::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
        EXECUTE format('CREATE OR REPLACE VIEW figures.%I AS SELECT %s FROM %I.%I', r.relname, r.columns, target, r.relname);
        EXECUTE format('COMMENT ON VIEW figures.%I IS %L', r.relname, r.comment);
    END LOOP;
    FOR r IN SELECT c.relname, a.attname, col_description(c.oid, a.attnum) AS comment
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relnamespace = target::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
               AND col_description(c.oid, a.attnum) IS NOT NULL LOOP
        EXECUTE format('COMMENT ON COLUMN figures.%I.%I IS %L', r.relname, r.attname, r.comment);
    END LOOP;
    UPDATE app.pipelines p SET is_read = false WHERE p.is_read AND p.version <> pipeline_switch.version;
    UPDATE app.pipelines p SET is_read = true, switched_at = now()
    WHERE p.version = pipeline_switch.version AND NOT p.is_read;
    PERFORM app.grant_rights();
END $$;
COMMENT ON FUNCTION pipeline_switch(integer) IS 'Lets the views in schema figures show this version, in one transaction';

CREATE FUNCTION pipeline_drop(version integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pipeline versions'));
    IF EXISTS (SELECT FROM app.pipelines p WHERE p.version = pipeline_drop.version AND p.is_read) THEN
        RAISE EXCEPTION 'pipeline version % is the one that is read; switch to another first', version;
    END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', 'pipeline_v' || version);
    DELETE FROM app.pipelines p WHERE p.version = pipeline_drop.version;
END $$;
COMMENT ON FUNCTION pipeline_drop(integer) IS 'Removes a version that is not read, with its rows';

REVOKE ALL ON FUNCTION pipeline_create(integer), pipeline_switch(integer), pipeline_drop(integer), app.grant_rights() FROM PUBLIC;

SELECT pipeline_create(1);
SELECT pipeline_switch(1);
"""


def upgrade() -> None:
    """Make the template, its triggers, the version functions, and version 1."""
    run(TABLES)
    run(ROLLUPS)
    run(TRIGGERS)
    run(_roll_up("place_hours", "hour_start", PLACE_SUMS))
    run(_roll_up("place_days", "day_start", PLACE_SUMS))
    run(_roll_up("category_hours", "hour_start, category", CATEGORY_SUMS))
    run(_roll_up("category_days", "day_start, category", CATEGORY_SUMS))
    run(OTHER_TRIGGERS)
    run(FUNCTIONS)
