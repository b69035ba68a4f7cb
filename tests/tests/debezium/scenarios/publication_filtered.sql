-- about: a publication with a row filter and a column list, which hold for the snapshot as they do for the stream
-- postgres: 15 16 17 18
-- set: publication.autocreate.mode=disabled
-- publication: FOR TABLE publication_filtered.t (id, kind, shown) WHERE (kind > 0), publication_filtered.whole, differential.marker
-- setup
CREATE TABLE t (id int, hidden text NOT NULL DEFAULT 'secret', kind int, shown text, PRIMARY KEY (id, kind));
CREATE TABLE whole (id int PRIMARY KEY, shown text);
INSERT INTO t (id, kind, shown) VALUES (1, 1, 'published'), (2, -1, 'not published'), (3, 2, NULL);
INSERT INTO whole VALUES (1, 'all of it');
-- stream
INSERT INTO t (id, kind, shown) VALUES (4, 1, 'published'), (5, -1, 'not published');
UPDATE t SET shown = 'still published' WHERE id = 1;
UPDATE t SET kind = -1 WHERE id = 1;
UPDATE t SET kind = 1 WHERE id = 2;
UPDATE t SET kind = 3 WHERE id = 3;
UPDATE t SET hidden = 'changed' WHERE id = 4;
DELETE FROM t WHERE id IN (4, 5);
UPDATE whole SET shown = 'more';
