-- about: more tables than anybody reads: their order in the snapshot, and markers at the edges
-- setup
DO $$ BEGIN
  FOR n IN 1..40 LOOP
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, v text)', n);
    EXECUTE format('INSERT INTO t%s SELECT n, ''row'' FROM generate_series(1, %s) n', n, n % 4);
  END LOOP;
END $$;
-- stream
DO $$ BEGIN
  FOR n IN 1..40 LOOP
    EXECUTE format('INSERT INTO t%s VALUES (100, ''new'')', n);
  END LOOP;
END $$;
