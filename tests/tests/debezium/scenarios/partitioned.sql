-- about: a partitioned table: leaves have their own topics, and rows that move are deleted and created
-- setup
CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu');
CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us') PARTITION BY RANGE (id);
CREATE TABLE p_us_1 PARTITION OF p_us FOR VALUES FROM (0) TO (100);
INSERT INTO p VALUES (1, 'eu', 'x'), (2, 'us', 'y');
-- stream
INSERT INTO p VALUES (3, 'eu', 'x'), (4, 'us', 'y');
UPDATE p SET region = 'us' WHERE id = 3;
UPDATE p SET v = 'changed';
DELETE FROM p WHERE id = 4;
