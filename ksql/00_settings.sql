-- Settings of every query below. SET holds from here on, through the numbered files, until it is set again.

-- The log of checks is the truth: a query that is new, or rebuilt, starts at its first record.
SET 'auto.offset.reset'='earliest';

-- Input offsets, state and output are committed together, so that a crash repeats nothing and loses nothing.
SET 'processing.guarantee'='exactly_once_v2';
