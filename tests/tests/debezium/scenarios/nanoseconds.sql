-- about: time.precision.mode=nanoseconds, values that it cannot hold included
-- set: time.precision.mode=nanoseconds
-- setup
CREATE TABLE t (id int PRIMARY KEY, d date, t3 time(3), t6 time, tz timetz, ts3 timestamp(3), ts6 timestamp, tstz timestamptz, ts time[], tss timestamp[]);
INSERT INTO t VALUES (1, '2017-09-15', '09:55:10.123', '09:55:10.123456', '11:51:30.123789+02', '2020-01-01 10:00:00.123', '2020-01-01 10:00:00.123456', '2020-01-01 10:00:00.123456+02', '{09:55:10.123456,NULL}', '{"2020-01-01 10:00:00",NULL}');
INSERT INTO t (id, t6, ts6) VALUES (2, '24:00:00', 'infinity'), (3, '00:00:00', '-infinity'), (4, NULL, '2262-04-11 23:47:16.854775'), (5, NULL, '2262-04-11 23:47:16.854776'), (6, NULL, '1677-09-22 00:00:00'),
  (7, NULL, '1677-09-21 23:59:59'), (8, NULL, '9999-12-31'), (9, NULL, '0044-03-15 BC');
-- stream
INSERT INTO t SELECT id + 20, d, t3, t6, tz, ts3, ts6, tstz, ts, tss FROM t;
UPDATE t SET id = 99 WHERE id = 1;
DELETE FROM t;
