-- about: expressions of defaults that PostgreSQL has had since 16
-- postgres: 16 17 18
-- setup
CREATE TABLE t (id int PRIMARY KEY,
  hexadecimal int NOT NULL DEFAULT 0x10, grouped int DEFAULT 1_000, grouped_numeric numeric(9,2) DEFAULT 1_000.50,
  object json DEFAULT JSON_OBJECT('a': 1), object_b jsonb NOT NULL DEFAULT JSON_OBJECT('a': 1 RETURNING jsonb),
  list json DEFAULT JSON_ARRAY(1, 2), who text DEFAULT system_user, who_else text NOT NULL DEFAULT user,
  role text DEFAULT current_role);
INSERT INTO t (id) VALUES (1);
-- stream
INSERT INTO t (id) VALUES (21);
UPDATE t SET who = NULL;
DELETE FROM t WHERE id = 1;
