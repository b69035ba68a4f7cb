-- about: an unlogged table among those of a filtered publication
-- fails: PostgreSQL refuses a publication with an unlogged table, and Debezium names all that are captured
-- set: publication.autocreate.mode=filtered
-- setup
CREATE UNLOGGED TABLE quick (id int PRIMARY KEY, v text);
CREATE TABLE slow (id int PRIMARY KEY, v text);
INSERT INTO quick VALUES (1, 'x');
INSERT INTO slow VALUES (1, 'x');
-- stream
INSERT INTO quick VALUES (2, 'y');
INSERT INTO slow VALUES (2, 'y');
