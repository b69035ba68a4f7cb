-- about: updates that change nothing are left out
-- set: skip.messages.without.change=true
-- setup
CREATE TABLE by_full (id int PRIMARY KEY, a text, b int);
CREATE TABLE by_default (id int PRIMARY KEY, a text);
ALTER TABLE by_full REPLICA IDENTITY FULL;
INSERT INTO by_full VALUES (1, 'x', 1), (2, NULL, NULL);
INSERT INTO by_default VALUES (1, 'x');
-- stream
UPDATE by_full SET a = a;
UPDATE by_full SET b = 2 WHERE id = 2;
UPDATE by_default SET a = a;
INSERT INTO by_full VALUES (3, 'y', 3);
