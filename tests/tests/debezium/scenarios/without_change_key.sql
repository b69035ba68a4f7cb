-- about: updates that change nothing but what is not delivered, the key, or null to a default
-- set: skip.messages.without.change=true
-- set: column.exclude.list=without_change_key\.t\.(id|hidden)
-- setup
CREATE TABLE t (id int PRIMARY KEY, a text, hidden text);
CREATE TABLE u (id int PRIMARY KEY, a text DEFAULT 'x', n numeric, f float8, at timestamp(3), big text, nn text NOT NULL DEFAULT 'y');
ALTER TABLE t REPLICA IDENTITY FULL;
ALTER TABLE u REPLICA IDENTITY FULL;
-- stream
INSERT INTO t VALUES (1, 'a', 'b');
UPDATE t SET hidden = 'c';
UPDATE t SET id = 2;
UPDATE t SET a = 'd';
INSERT INTO u VALUES (1, NULL, 1.0, 1, '2024-01-01', repeat('x', 9000), 'y'), (2, 'x', NULL, '-0', NULL, NULL, '');
UPDATE u SET a = 'x' WHERE id = 1;
UPDATE u SET n = 1.00 WHERE id = 1;
UPDATE u SET f = 0 WHERE id = 2;
UPDATE u SET f = 'NaN' WHERE id = 2;
UPDATE u SET f = 'NaN' WHERE id = 2;
UPDATE u SET a = NULL WHERE id = 2;
UPDATE u SET a = NULL, nn = 'y' WHERE id = 2;
UPDATE u SET big = big;
UPDATE u SET id = id + 10;
DELETE FROM u;
