-- about: a transaction of 5,000 rows, and rows of two hundred kilobytes
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
-- stream
INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 5000) n;
INSERT INTO t SELECT n, repeat('long ü😀', 15000) FROM generate_series(5001, 5003) n;
UPDATE t SET v = 'short' WHERE id > 5000;
