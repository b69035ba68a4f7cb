-- about: a snapshot of some tables, all are streamed
-- set: snapshot.include.collection.list=snapshot_part\.a
-- setup
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE b (id int PRIMARY KEY);
INSERT INTO a VALUES (1), (2);
INSERT INTO b VALUES (1);
-- stream
INSERT INTO a VALUES (3);
INSERT INTO b VALUES (3);
