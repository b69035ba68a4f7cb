#!/bin/sh
# Captures the golden frames anew: capture.sh > postgres15.hex
#
# Wants an empty database of a PostgreSQL with wal_level=logical, as psql's environment (PGHOST, PGPORT, PGUSER,
# PGDATABASE) names it. One line per message, its bytes in hexadecimal.
set -eu
cd "$(dirname "$0")"
psql -qAtX -v ON_ERROR_STOP=1 -f golden.sql > /dev/null
psql -qAtX -v ON_ERROR_STOP=1 -c "
  SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes(
    'golden', NULL, NULL, 'proto_version', '1', 'publication_names', 'golden', 'messages', 'true')"
