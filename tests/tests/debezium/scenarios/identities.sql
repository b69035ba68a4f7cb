-- about: replica identities DEFAULT, FULL and INDEX, key changes included
-- setup
CREATE TABLE by_default (id int PRIMARY KEY, a text, b int NOT NULL, c numeric(5,2) NOT NULL);
CREATE TABLE by_full (id int PRIMARY KEY, a text, b int NOT NULL);
CREATE TABLE by_index (id int PRIMARY KEY, a text NOT NULL, b int NOT NULL);
CREATE UNIQUE INDEX by_index_a ON by_index (a);
ALTER TABLE by_full REPLICA IDENTITY FULL;
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a;
INSERT INTO by_default VALUES (1, 'one', 1, 1.5);
INSERT INTO by_full VALUES (1, 'one', 1);
INSERT INTO by_index VALUES (1, 'one', 1);
-- stream
INSERT INTO by_default VALUES (2, 'two', 2, 2.5), (3, NULL, 3, 3.5);
UPDATE by_default SET a = 'changed' WHERE id = 1;
UPDATE by_default SET id = 20 WHERE id = 2;
UPDATE by_default SET id = id + 100;
DELETE FROM by_default WHERE id = 103;
INSERT INTO by_full VALUES (2, 'two', 2), (3, NULL, 3);
UPDATE by_full SET a = 'changed' WHERE id = 1;
UPDATE by_full SET a = a WHERE id = 1;
UPDATE by_full SET id = 20 WHERE id = 2;
DELETE FROM by_full WHERE id = 3;
INSERT INTO by_index VALUES (2, 'two', 2), (3, 'three', 3);
UPDATE by_index SET b = 10 WHERE id = 1;
UPDATE by_index SET a = 'changed' WHERE id = 1;
UPDATE by_index SET id = 20 WHERE id = 2;
DELETE FROM by_index WHERE id = 3;
