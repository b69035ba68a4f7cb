-- about: tables that inherit, unlogged tables, views and temporary tables
-- setup
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent);
CREATE VIEW a_view AS SELECT * FROM parent;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM parent;
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', 7);
-- stream
INSERT INTO parent VALUES (3, 'parent');
INSERT INTO child VALUES (4, 'child', 8);
UPDATE parent SET v = 'changed';
DELETE FROM parent WHERE id = 2;
CREATE TEMPORARY TABLE passing (id int PRIMARY KEY);
INSERT INTO passing VALUES (1);
DROP TABLE passing;
