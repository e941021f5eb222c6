// One poll after the other, for networks that hold back an answer until it is complete. docs/protocol.md, "Long polls".
import type { Feed } from './feed.js';
import type { ServerFrame } from './frames.js';
import { frameOf, type Http } from './http.js';

/** Milliseconds between the beginnings of two polls: where much comes, an answer brings more of it. */
const APART_MS = 100;
/** The same where an answer has brought nothing, though it came at once. */
const IDLE_APART_MS = 1_000;
/** Polls that may fail in a row: one connection ends as it is used, one node leaves, and the next one is there. */
const FAILURES = 2;
/** Milliseconds until another one after the first failure; each time twice as long. */
const AGAIN_MS = 250;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The frames of an answer, which counts as a whole; nothing where the node has refused all of it. */
async function poll(feed: Feed, http: Http, wait: number): Promise<ServerFrame[] | undefined> {
  const response = await http.send(`poll?wait=${wait}`, feed.request(), feed.signal);
  if (!response.ok) {
    const { error } = await frameOf(response);
    // Another node takes the next one.
    if (error?.code === 'draining') throw new Error(error.message);
    feed.refuse(error);
    return undefined;
  }
  const frames = (await response.text()).split('\n').flatMap((line) => (line ? (JSON.parse(line) as ServerFrame) : []));
  if (!frames.at(-1)?.ping) throw new Error('a poll was cut off');
  return frames;
}

export async function longPoll(feed: Feed, http: Http): Promise<void> {
  let failures = 0;
  let heartbeat = 0;
  while (!feed.signal.aborted) {
    const begun = Date.now();
    try {
      // The first answer comes at once, and says that the patterns are live.
      const frames = await poll(feed, http, feed.isLive ? heartbeat : 0);
      if (!frames) return;
      failures = 0;
      const first = !heartbeat;
      let news = false;
      for (const frame of frames) {
        const { welcome, event, replay, gap, goaway } = frame;
        if (welcome) heartbeat = Math.ceil(welcome.heartbeatMs / 1_000);
        if (event ?? replay ?? gap) news = true;
        // A node that leaves costs nothing here: the next poll goes to another one.
        if (goaway?.windowMs ?? goaway?.reason === 'draining') continue;
        feed.take(frame);
        if (feed.signal.aborted) return;
        if (goaway) return;
      }
      if (!first) await pause(Math.max(0, begun + (news ? APART_MS : IDLE_APART_MS) - Date.now()));
    } catch (error) {
      // Nothing is lost by a poll that fails: the next one asks for the same.
      if (!heartbeat || ++failures > FAILURES) throw error;
      await pause(Math.random() * AGAIN_MS * 2 ** failures);
    }
  }
}
