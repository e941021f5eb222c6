// One event stream: a request whose answer lasts. docs/protocol.md, "Event streams".
import type { Feed } from './feed.js';
import type { ServerFrame } from './frames.js';
import { frameOf, type Http } from './http.js';

export async function eventStream(feed: Feed, http: Http): Promise<void> {
  const response = await http.send('events', feed.request(), feed.signal);
  if (!response.ok || !response.body) return feed.refuse((await frameOf(response)).error);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    // A message counts when its empty line has come.
    const end = text.lastIndexOf('\n\n') + 1;
    const lines = text.slice(0, end).split('\n');
    text = text.slice(end);
    for (const line of lines) {
      if (line.startsWith('data:')) feed.take(JSON.parse(line.slice(5)) as ServerFrame);
      if (feed.signal.aborted) return;
    }
  }
}
