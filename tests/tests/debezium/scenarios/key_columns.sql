-- about: keys that the user chooses
-- set: message.key.columns=key_columns\.t:b,a;key_columns\.(u|v):A
-- setup
CREATE TABLE t (id int PRIMARY KEY, a text, b int NOT NULL);
CREATE TABLE u (a int NOT NULL, b text);
CREATE TABLE v (id int PRIMARY KEY, a int);
ALTER TABLE t REPLICA IDENTITY FULL;
ALTER TABLE u REPLICA IDENTITY FULL;
INSERT INTO t VALUES (1, 'x', 1);
INSERT INTO u VALUES (1, 'x');
INSERT INTO v VALUES (1, NULL);
-- stream
INSERT INTO t VALUES (2, NULL, 2);
UPDATE t SET a = 'y';
UPDATE t SET id = 3 WHERE id = 1;
DELETE FROM t;
INSERT INTO u VALUES (2, 'x');
UPDATE u SET a = 3 WHERE a = 1;
DELETE FROM u;
INSERT INTO v VALUES (2, 7);
UPDATE v SET a = 8;
DELETE FROM v;
