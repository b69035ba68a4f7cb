-- about: an unlogged table, which only the snapshot can see, in a publication of all tables
-- set: publication.autocreate.mode=all_tables
-- setup
CREATE UNLOGGED TABLE quick (id int PRIMARY KEY, v text);
CREATE TABLE slow (id int PRIMARY KEY, v text);
INSERT INTO quick VALUES (1, 'x');
INSERT INTO slow VALUES (1, 'x');
-- stream
INSERT INTO quick VALUES (2, 'y');
INSERT INTO slow VALUES (2, 'y');
