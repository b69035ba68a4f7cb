-- about: a time whose zone has seconds
-- fails: DateTimeParseException in the stream
-- setup
CREATE TABLE t (id int PRIMARY KEY, tz timetz);
INSERT INTO t VALUES (1, '10:00:00+00');
-- stream
INSERT INTO t VALUES (2, '10:00:00+00:00:30');
INSERT INTO t VALUES (3, '10:00:00+01');
