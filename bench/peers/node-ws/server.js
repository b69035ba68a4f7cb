// The WebSocket service that people write by hand, without the database and the broker behind it: every line of standard
// input goes to every client. An upper bound for Node's `ws`: nothing else runs in this process.
const { WebSocketServer } = require('ws');
const { createInterface } = require('node:readline');

const server = new WebSocketServer({ port: Number(process.env.PORT), host: '127.0.0.1', path: '/ws' });
createInterface({ input: process.stdin }).on('line', (line) => {
  for (const client of server.clients) if (client.readyState === 1) client.send(line);
}).on('close', () => process.exit(0));
