-- about: masks of columns that are no plain text, of fillers, and beside propagated source types
-- set: column.mask.with.4.chars=masks_types\..\.m_.*
-- set: column.mask.hash.SHA-1.with.salt.CzQMA0cB5K=masks_types\..\.h_.*
-- set: column.mask.hash.v2.SHA3-256.with.salt.CzQMA0cB5K=masks_types\.t\.g_.*
-- set: column.truncate.to.7.chars=masks_types\..\.c_.*
-- set: column.propagate.source.type=masks_types\.t\.(h_beside|c_text|plain)
-- setup
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN word AS text;
CREATE DOMAIN short AS varchar(8);
CREATE TABLE t (id int PRIMARY KEY, plain varchar(9), m_enum mood, m_word word, m_char char(6), m_one "char", m_json json, m_uuid uuid, m_texts text[], m_required text NOT NULL, m_default text DEFAULT 'dear',
  h_enum mood, h_short short, h_char char(6), h_bytes bytea, h_required text NOT NULL, h_default text NOT NULL DEFAULT 'dear', h_null_default text DEFAULT 'dear', h_beside text,
  g_text text, g_varchar varchar(30), c_text text, c_varchar varchar(7), c_longer varchar(8), c_json json, c_jsonb jsonb, c_uuid uuid, c_at timestamptz, c_time timetz, c_bytes bytea, c_n numeric, c_n2 numeric(12, 2), c_bits bit(20),
  c_texts text[], c_required text NOT NULL DEFAULT 'a long default', c_interval interval, c_escapes text, c_word word, c_inet inet);
CREATE TABLE k (m_key text, h_key text, c_key text, PRIMARY KEY (m_key, h_key, c_key));
INSERT INTO k VALUES ('masked', 'hashed', 'a long key');
INSERT INTO t VALUES (1, 'plain', 'sad', 'word', 'abc', 'x', '{"a":1}', '00000000-0000-0000-0000-000000000001', '{a}', 'required', 'default', 'happy', 'short', 'abc', '\x0102', 'required', 'given', 'given', 'beside',
  'text', 'varchar', 'a long text', 'varchar', 'a longe ', '{"a":      1}', '{"a":1, "b":2}', '00000000-0000-0000-0000-000000000001', '2024-02-29 12:00:00.5+00', '12:00:00+00', '\x0102030405060708090a', 12345678.5, 12345678.5, B'10101010101010101010',
  '{a long element}', 'another long one', '3 days', E'1\n\t"\\6789', 'a long word', '10.0.0.1/32');
INSERT INTO t (id, m_required, h_required) VALUES (2, '', '');
INSERT INTO t (id, m_required, h_required, h_null_default, c_escapes, c_bytes, g_text) VALUES (3, 'x', 'x', NULL, 'größe €😀😀😀', '\x01020304050607', 'größe 😀');
-- stream
INSERT INTO t SELECT id + 10, plain, m_enum, m_word, m_char, m_one, m_json, m_uuid, m_texts, m_required, m_default, h_enum, h_short, h_char, h_bytes, h_required, h_default, h_null_default, h_beside,
  g_text, g_varchar, c_text, c_varchar, c_longer, c_json, c_jsonb, c_uuid, c_at, c_time, c_bytes, c_n, c_n2, c_bits, c_texts, c_required, c_interval, c_escapes, c_word, c_inet FROM t;
UPDATE t SET id = 99 WHERE id = 1;
DELETE FROM t WHERE id < 20;
ALTER TABLE t ALTER m_required SET STORAGE EXTERNAL, ALTER h_required SET STORAGE EXTERNAL, ALTER c_text SET STORAGE EXTERNAL, ALTER c_bytes SET STORAGE EXTERNAL;
-- then
INSERT INTO t (id, m_required, h_required, c_text, c_bytes) VALUES (200, repeat('m', 9000), repeat('h', 9000), repeat('c', 9000), decode(repeat('0a', 9000), 'hex'));
UPDATE t SET plain = 'changed' WHERE id = 200;
INSERT INTO k VALUES ('masked', 'hashed', 'another long key');
UPDATE k SET m_key = 'other' WHERE c_key = 'a long key';
DELETE FROM k;
