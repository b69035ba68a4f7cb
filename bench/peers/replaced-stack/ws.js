// The WebSocket service that people write by hand: consume the topic, push every event to every client.
const { Kafka, logLevel } = require('kafkajs');
const { WebSocketServer } = require('ws');
const wss = new WebSocketServer({ port: Number(process.env.PORT), host: '127.0.0.1' });
(async () => {
  const consumer = new Kafka({ brokers: [process.env.KAFKA], logLevel: logLevel.ERROR }).consumer({ groupId: 'websocket-service' });
  await consumer.connect();
  // The topic does not exist until the first event: wait for it (without this the service dies at once on a fresh stack).
  for (;;) try { await consumer.subscribe({ topic: 'orders.public.orders' }); break; }
    catch (e) { if (e.code !== 3) throw e; await new Promise(r => setTimeout(r, 200)); }
  await consumer.run({ eachMessage: async ({ message }) => {
    if (!message.value) return;
    const text = message.value.toString();
    for (const c of wss.clients) if (c.readyState === 1) c.send(text);
  } });
})();
