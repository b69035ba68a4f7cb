-- about: a publication of schemas, whose tables come and go
-- postgres: 15 16 17 18
-- set: publication.autocreate.mode=disabled
-- publication: FOR TABLES IN SCHEMA publication_of_schema, differential
-- setup
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'x');
-- stream
INSERT INTO t VALUES (2, 'y');
CREATE TABLE later (id int PRIMARY KEY, v text);
INSERT INTO later VALUES (1, 'x');
UPDATE later SET v = 'y';
-- then
DROP TABLE later;
UPDATE t SET v = 'z';
DELETE FROM t WHERE id = 1;
