-- about: tables without key and without replica identity, in a publication that somebody made
-- set: publication.autocreate.mode=disabled
-- setup
CREATE TABLE no_key (a int, b text);
CREATE TABLE by_nothing (id int PRIMARY KEY, a text);
ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
INSERT INTO no_key VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
INSERT INTO by_nothing VALUES (1, 'one');
-- stream
INSERT INTO no_key VALUES (2, NULL), (2, NULL);
INSERT INTO by_nothing VALUES (2, 'two');
