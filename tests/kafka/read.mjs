// Prints every committed record of a topic as one JSON line, as kafkajs sees it, and ends at the topic's end:
//   node read.mjs HOST:PORT TOPIC
// Bytes are arrays of numbers, so that nothing is lost on the way; null is null.
import { Kafka, logLevel } from "kafkajs";

const [address, topic] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [address], clientId: "rowcast-tests", logLevel: logLevel.ERROR });
const bytes = (buffer) => (buffer === null ? null : [...buffer]);

const admin = kafka.admin();
await admin.connect();
const open = new Map();
for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
  if (BigInt(low) < BigInt(high)) open.set(partition, BigInt(high));
}
await admin.disconnect();

const consumer = kafka.consumer({ groupId: `rowcast-tests-${process.pid}`, maxWaitTimeInMs: 100 });
const finished = new Promise((resolve) => {
  if (open.size === 0) resolve();
  // Also told of batches that hold only markers of transactions, with which a topic may end.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (BigInt(payload.lastOffset) + 1n >= (open.get(payload.partition) ?? 0n)) open.delete(payload.partition);
    if (open.size === 0) resolve();
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    console.error(payload.error);
    process.exit(1);
  });
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ partition, message }) => {
    const headers = {};
    for (const [name, values] of Object.entries(message.headers)) headers[name] = [values].flat().map(bytes);
    const line = {
      partition,
      offset: Number(message.offset),
      timestamp_ms: Number(message.timestamp),
      key: bytes(message.key),
      value: bytes(message.value),
      headers,
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  },
});
await finished;
await consumer.disconnect();
