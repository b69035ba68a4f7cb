-- about: both are restarted between transactions, and the table has changed its shape meanwhile
-- group: restarts
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'x');
-- stream
INSERT INTO t VALUES (2, 'y');
UPDATE t SET v = 'z' WHERE id = 1;
-- restart
-- stream
INSERT INTO t VALUES (3, 'after');
DELETE FROM t WHERE id = 1;
-- then
ALTER TABLE t ADD n int DEFAULT 7;
-- restart
-- stream
INSERT INTO t VALUES (4, 'later', NULL);
UPDATE t SET id = 5 WHERE id = 2;
