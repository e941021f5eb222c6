// A relay in front of a node that hands on each frame as a message of its own, as a server without batching would.
import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';

export async function splitter(node, ends) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: (offered) => [...offered][0] });
  await once(server, 'listening');
  ends.push(() => server.close());
  server.on('connection', (page, { url }) => {
    const upstream = new WebSocket(new URL(url, node), 'notifier.v1.json');
    const waiting = [];
    page.on('message', (text) => (upstream.readyState === WebSocket.OPEN ? upstream.send(String(text)) : waiting.push(String(text))));
    upstream.on('open', () => waiting.forEach((text) => upstream.send(text)));
    upstream.on('message', (text) => {
      for (const line of String(text).split('\n')) if (line) page.send(line);
    });
    for (const [one, other] of [[page, upstream], [upstream, page]]) one.on('close', () => other.terminate());
  });
  return `ws://127.0.0.1:${server.address().port}/v1/ws`;
}
