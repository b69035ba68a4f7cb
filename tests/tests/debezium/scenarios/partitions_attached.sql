-- about: partitions that are attached and detached while changes come
-- setup
CREATE TABLE p (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu');
CREATE TABLE later (id int NOT NULL, region text NOT NULL, PRIMARY KEY (id, region));
-- stream
INSERT INTO p VALUES (1, 'eu'), (2, 'eu');
INSERT INTO later VALUES (10, 'us');
-- then
ALTER TABLE p ATTACH PARTITION later FOR VALUES IN ('us');
INSERT INTO p VALUES (3, 'us');
UPDATE p SET region = 'us' WHERE id = 1;
DELETE FROM p WHERE id = 10;
-- then
ALTER TABLE p DETACH PARTITION later;
INSERT INTO later VALUES (4, 'us');
UPDATE later SET id = 30 WHERE id = 3;
INSERT INTO p VALUES (5, 'eu');
