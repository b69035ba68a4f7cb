#!/usr/bin/env bash
# Starts the stack that Rowcast replaces without containers: one Kafka broker (KRaft), Kafka Connect with Debezium, the
# Node WebSocket service; the database is the benchmark's own.
#   stack.sh install | kafka | connect | register FILE | ws | stop-connector NAME | resume-connector NAME | down
# JARS holds Kafka and Debezium, CACHE the npm packages, STACK what one run leaves; KAFKA_PORT, CONNECT_PORT, WS_PORT are the doors
# (ADVERTISED_PORT: where the broker sends its clients, if somebody stands before it).
set -feuo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$CACHE" "$STACK"
# Seconds that a part may take to open its port.
PATIENCE=90

install() {
  cp "$here"/package.json "$here"/package-lock.json "$here"/ws.js "$here"/drained.js "$CACHE"
  [ -d "$CACHE/node_modules/kafkajs" ] || (cd "$CACHE" && npm ci --silent --ignore-scripts --no-audit --no-fund)
}

# until_open PORT PID: waits for the port, fails when the process is gone.
until_open() {
  local end=$((SECONDS + PATIENCE))
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    kill -0 "$2" 2>/dev/null || { echo "process $2 ended before it opened port $1" >&2; exit 1; }
    [ $SECONDS -lt $end ] || { echo "port $1 is not open after $PATIENCE s" >&2; exit 1; }
    sleep 0.05
  done
}

log4j() {
  cat > "$STACK/log4j2.properties" <<END
rootLogger.level=warn
rootLogger.appenderRef.a.ref=A
appender.a.type=Console
appender.a.name=A
appender.a.layout.type=PatternLayout
appender.a.layout.pattern=%d %p %c{1} %m%n
END
}

kafka() {
  log4j
  cat > "$STACK/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((KAFKA_PORT + 1))
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$((KAFKA_PORT + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:${ADVERTISED_PORT:-$KAFKA_PORT}
controller.listener.names=CONTROLLER
log.dirs=$STACK/kafka
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
END
  local java="java -Xmx1g -Xms1g -XX:+UseG1GC -Dlog4j2.configurationFile=$STACK/log4j2.properties -cp $JARS/libs/*"
  $java kafka.tools.StorageTool format -t AAAAAAAAQACAAAAAAAAAAQ -c "$STACK/server.properties" > /dev/null
  nohup setsid $java kafka.Kafka "$STACK/server.properties" > "$STACK/kafka.log" 2>&1 &
  echo $! > "$STACK/kafka.pid"
  until_open "$KAFKA_PORT" $!
}

connect() {
  cat > "$STACK/connect.properties" <<END
bootstrap.servers=127.0.0.1:$KAFKA_PORT
group.id=1
config.storage.topic=my_connect_configs
offset.storage.topic=my_connect_offsets
status.storage.topic=my_connect_statuses
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
listeners=http://127.0.0.1:$CONNECT_PORT
plugin.path=$JARS/plugins
END
  nohup setsid java -Xmx2g -Xms256m -XX:+UseG1GC -Dlog4j2.configurationFile="$STACK/log4j2.properties" -cp "$JARS/libs/*" \
    org.apache.kafka.connect.cli.ConnectDistributed "$STACK/connect.properties" > "$STACK/connect.log" 2>&1 &
  echo $! > "$STACK/connect.pid"
  until_open "$CONNECT_PORT" $!
}

api() { curl -sf --retry 100 --retry-delay 1 --retry-all-errors --retry-max-time $PATIENCE "$@"; }

register() {
  api -X POST -H 'Content-Type: application/json' "http://127.0.0.1:$CONNECT_PORT/connectors" -d "@$1"
}

ws() {
  (cd "$CACHE"; KAFKA=127.0.0.1:$KAFKA_PORT PORT=$WS_PORT exec setsid node ws.js > "$STACK/ws.log" 2>&1) &
  echo $! > "$STACK/ws.pid"
  until_open "$WS_PORT" $!
}

# state_is NAME STATE: waits until the connector says so.
state_is() {
  local end=$((SECONDS + PATIENCE))
  until api "http://127.0.0.1:$CONNECT_PORT/connectors/$1/status" | grep -q "\"connector\":{\"state\":\"$2\""; do
    [ $SECONDS -lt $end ] || { echo "connector $1 is not $2 after $PATIENCE s" >&2; exit 1; }
    sleep 0.2
  done
}
stop-connector() { api -X PUT "http://127.0.0.1:$CONNECT_PORT/connectors/$1/stop"; state_is "$1" STOPPED; }
resume-connector() { api -X PUT "http://127.0.0.1:$CONNECT_PORT/connectors/$1/resume"; }

down() {
  local part pid
  for part in ws connect kafka; do
    [ -e "$STACK/$part.pid" ] || continue
    pid=$(cat "$STACK/$part.pid")
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
}

"$@"
