-- about: without tombstones
-- set: tombstones.on.delete=false
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'x'), (2, 'y');
-- stream
DELETE FROM t WHERE id = 1;
UPDATE t SET id = 3;
