-- about: chosen keys without FULL, in unique order, by regular expressions, in tables without any key
-- set: message.key.columns=key_columns_identity\.(t|w):(b|A);key_columns_identity\.u:b , a;(.*)\.x:nothing;key_columns_identity\.y:name
-- setup
CREATE TABLE t (id int PRIMARY KEY, a text, b int NOT NULL DEFAULT 7, c text);
CREATE TABLE u (a numeric(5, 2) NOT NULL, b timestamptz, c text);
CREATE TABLE w (a int NOT NULL, b text NOT NULL, c text, PRIMARY KEY (b, a));
CREATE TABLE x (id int PRIMARY KEY, c text);
CREATE TABLE y (id int, name text);
ALTER TABLE u REPLICA IDENTITY FULL;
ALTER TABLE y REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'x', 1, 'c');
INSERT INTO u VALUES (1.5, '2024-01-01 00:00:00+00', 'c');
INSERT INTO w VALUES (1, 'x', 'c');
INSERT INTO x VALUES (1, 'c');
INSERT INTO y VALUES (1, 'Ann'), (1, 'Ann');
-- stream
INSERT INTO t VALUES (2, NULL, 2, 'd');
UPDATE t SET c = 'e';
UPDATE t SET a = 'y' WHERE id = 1;
UPDATE t SET id = 3 WHERE id = 1;
DELETE FROM t;
INSERT INTO u VALUES (2, NULL, 'd');
INSERT INTO w VALUES (2, 'y', 'd');
UPDATE w SET c = 'e';
UPDATE w SET a = 5 WHERE a = 1;
DELETE FROM w;
UPDATE x SET id = 2;
DELETE FROM x;
INSERT INTO y VALUES (2, NULL);
UPDATE y SET id = 3;
UPDATE y SET name = 'Bob' WHERE name = 'Ann';
DELETE FROM y;
TRUNCATE y;
