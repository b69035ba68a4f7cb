-- about: a partitioned table, TRUNCATE
-- set: skipped.operations=none
-- like: partitioned
-- stream
TRUNCATE p;
