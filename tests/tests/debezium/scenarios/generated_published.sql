-- about: stored generated columns that the publication has: all of a table, those of a column list, one that is the key
-- postgres: 18
-- set: publication.autocreate.mode=disabled
-- publication: FOR TABLE generated_published.t, generated_published.listed (id, g), generated_published.unlisted (id, b), generated_published.keyed, differential.marker WITH (publish_generated_columns = stored)
-- setup
CREATE TABLE t (id int PRIMARY KEY, b text, g text GENERATED ALWAYS AS ('n' || b) STORED, i int, d int GENERATED ALWAYS AS (i * 2) STORED NOT NULL, v int GENERATED ALWAYS AS (i * 3) VIRTUAL);
CREATE TABLE listed (id int PRIMARY KEY, b text, g text GENERATED ALWAYS AS ('n' || b) STORED);
CREATE TABLE unlisted (id int PRIMARY KEY, b text, g text GENERATED ALWAYS AS ('n' || b) STORED);
CREATE TABLE keyed (b text, k int GENERATED ALWAYS AS (length(b)) STORED PRIMARY KEY);
INSERT INTO t (id, b, i) VALUES (1, 'x', 5), (2, NULL, 6);
INSERT INTO listed (id, b) VALUES (1, 'x');
INSERT INTO unlisted (id, b) VALUES (1, 'x');
INSERT INTO keyed VALUES ('x');
-- stream
INSERT INTO t (id, b, i) VALUES (3, 'y', 7), (4, NULL, 8);
UPDATE t SET b = 'z' WHERE id = 1;
DELETE FROM t WHERE id = 2;
INSERT INTO listed (id, b) VALUES (2, 'y');
UPDATE listed SET b = 'z' WHERE id = 1;
INSERT INTO unlisted (id, b) VALUES (2, 'y');
UPDATE unlisted SET b = 'z' WHERE id = 1;
INSERT INTO keyed VALUES ('yy');
UPDATE keyed SET b = 'zzz' WHERE b = 'x';
DELETE FROM keyed WHERE b = 'yy';
