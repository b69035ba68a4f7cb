-- about: transactions of many rows, savepoints that are rolled back, COPY, two tables in turn
-- setup
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (id int PRIMARY KEY, v text);
INSERT INTO a SELECT n, 'row ' || n FROM generate_series(1, 300) n;
-- stream
BEGIN;
INSERT INTO a VALUES (1001, 'first');
INSERT INTO b VALUES (1001, 'first');
UPDATE a SET v = 'second' WHERE id = 1001;
DELETE FROM b WHERE id = 1001;
INSERT INTO b VALUES (1001, 'again');
COMMIT;
BEGIN;
INSERT INTO a VALUES (1002, 'kept');
SAVEPOINT one;
INSERT INTO a VALUES (1003, 'rolled back');
ROLLBACK TO one;
INSERT INTO a VALUES (1004, 'kept');
SAVEPOINT two;
INSERT INTO b VALUES (1005, 'kept');
RELEASE two;
COMMIT;
BEGIN;
INSERT INTO a VALUES (1006, 'rolled back');
ROLLBACK;
COPY b FROM PROGRAM 'seq -f "%g	copied" 2001 2500';
INSERT INTO a SELECT n, 'many' FROM generate_series(3001, 3400) n;
UPDATE a SET v = 'all' WHERE id > 3000;
DELETE FROM a WHERE id > 3000;
