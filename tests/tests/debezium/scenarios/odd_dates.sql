-- about: infinite dates and dates before Christ, which Debezium's snapshot and stream read differently
-- setup
CREATE TABLE t (id int PRIMARY KEY, d date, ds date[]);
INSERT INTO t VALUES (1, 'infinity', NULL), (2, '-infinity', NULL), (3, '0001-12-31 BC', NULL), (4, '0044-03-15 BC', NULL), (5, '4713-01-01 BC', NULL), (6, NULL, '{infinity,-infinity,NULL}');
-- stream
INSERT INTO t SELECT id + 20, d, ds FROM t;
