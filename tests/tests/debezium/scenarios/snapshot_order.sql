-- about: tables in the order of the list, whichever expression is first
-- tables: snapshot_order\.c
-- tables: snapshot_order\.[ab]
-- group: order
-- setup
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (id int PRIMARY KEY);
CREATE TABLE c (id int PRIMARY KEY);
INSERT INTO a VALUES (1);
INSERT INTO b VALUES (1), (2), (3);
INSERT INTO c VALUES (1), (2);
-- stream
INSERT INTO a VALUES (2);
