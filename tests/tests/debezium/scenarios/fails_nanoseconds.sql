-- about: the delete of a row with a NOT NULL timestamp in nanoseconds, whose old key has none
-- set: time.precision.mode=nanoseconds
-- fails: null used for required field
-- setup
CREATE TABLE t (id int PRIMARY KEY, ts timestamp NOT NULL);
INSERT INTO t VALUES (1, '2020-01-01');
-- stream
DELETE FROM t;
INSERT INTO t VALUES (2, '2020-01-01');
