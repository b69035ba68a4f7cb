// Prints how many records a second reached TOPIC between the first new one and the one that makes it TARGET.
const { Kafka, logLevel } = require('kafkajs');
const [target, topic] = [Number(process.env.TARGET), process.env.TOPIC];
let firstCount = 0;
const patienceMs = 120_000;
(async () => {
  const admin = new Kafka({ brokers: [process.env.KAFKA], logLevel: logLevel.ERROR }).admin();
  await admin.connect();
  const isThere = (await admin.listTopics()).includes(topic);
  if (!isThere) await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
  const end = async () => (await admin.fetchTopicOffsets(topic)).reduce((sum, p) => sum + Number(p.high), 0);
  const start = await end();
  console.log('watching');
  let [seen, first, moved] = [start, 0, performance.now()];
  while (seen < target) {
    await new Promise((r) => setTimeout(r, 50));
    const now = await end();
    if (now > seen) moved = performance.now();
    if (now > start && !first) [first, firstCount] = [performance.now(), now];
    seen = now;
    if (performance.now() - moved > patienceMs) throw new Error(`stuck at ${seen} of ${target}`);
  }
  console.log((target - firstCount) / ((performance.now() - first) / 1000));
  await admin.disconnect();
})();
