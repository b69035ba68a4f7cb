-- about: masked, hashed and cut columns, keys left alone, rules in their order
-- set: column.mask.with.3.chars=masks\.t\.masked,masks\.t\.n,masks\.t\.i
-- set: column.mask.with.0.chars=masks\.t\.emptied
-- set: column.truncate.to.5.chars=masks\.t\.cut,masks\.t\.masked
-- set: column.mask.hash.SHA-256.with.salt.CzQMA0cB5K=masks\.t\.hashed.*
-- set: column.mask.hash.v2.SHA-256.with.salt.CzQMA0cB5K=masks\.t\.v2
-- set: column.mask.hash.MD5.with.salt.abc=masks\.t\.md5
-- setup
CREATE TABLE t (id text PRIMARY KEY, masked text, emptied text, cut varchar(20), hashed varchar(20), hashed_text text, v2 text, md5 text, n numeric, i int, nn text NOT NULL);
CREATE TABLE u (masked text PRIMARY KEY, cut text);
INSERT INTO t VALUES ('1', 'secret', 'secret', 'long enough', 'secret', 'secret', 'secret', 'secret', 1.5, 1, 'x'), ('2', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x'),
  ('3', '', '', 'größe', 'größe 😀', 'größe 😀', 'größe 😀', 'größe 😀', 0, 0, 'x'), ('4', '😀', '😀', '😀😀😀', '', '', '', '', 0, 0, '');
-- stream
INSERT INTO t SELECT id || 'x', masked, emptied, cut, hashed, hashed_text, v2, md5, n, i, nn FROM t;
UPDATE t SET id = '99' WHERE id = '1';
DELETE FROM t;
