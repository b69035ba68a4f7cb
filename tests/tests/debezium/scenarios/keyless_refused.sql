-- about: a table that its owner could not update any more once it is published
-- group: keyless_refused
-- set: publication.autocreate.mode=filtered
-- setup
CREATE TABLE no_key (a int, b text);
INSERT INTO no_key VALUES (1, 'x');
-- stream
INSERT INTO no_key VALUES (2, NULL);
