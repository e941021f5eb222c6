// Publishes over HTTP. One subject has one publisher, which waits for each answer: that gives its events an order.
import exec from 'k6/execution';
import http from 'k6/http';
import { check } from 'k6';
import * as measures from './measures.js';
import { Client } from './notifier.js';
import { settings } from './settings.js';
import { pause } from './time.js';

// How often the last event of a subject is tried again: without it the clients would have to wait for QUIET.
const FINAL_TRIES = 20;
const LOOK_EVERY = 0.05;

// Resolves when every VU has announced that its clients are subscribed.
export async function everybodyReady(plan, clock) {
  const heard = new Set();
  const client = new Client(settings.nodes[0], {
    name: 'loadtest-publisher',
    subscriptions: [plan.allReady],
    onEvent: ({ data }) => heard.add(data),
  });
  client.connect();
  const deadline = clock.seconds() + settings.connectTimeout + settings.clients / 20;
  while (heard.size < settings.clientVus) {
    if (clock.seconds() > deadline) {
      exec.test.abort(`only ${heard.size} of ${settings.clientVus} VUs had their clients subscribed in time`);
    }
    await pause(LOOK_EVERY);
  }
  client.close();
}

// Seconds between two events of one subject.
export const interval = () => settings.subjects / settings.rate;

export async function publishInOrder(subject, number, start, clock) {
  const node = settings.nodes[number % settings.nodes.length];
  const first = start + number / settings.rate;
  const padding = 'x'.repeat(settings.payload);
  const unsure = [];
  let n = 1;
  // A refused event does not exist, so its sequence is free for the next one. Of an unanswered one nobody knows.
  const send = async (final) => {
    const data = { n, at: clock.seconds(), ...(final && { final, unsure }), padding };
    const answer = await post(node, subject, data);
    const accepted = count(answer);
    if (answer.status === 0) unsure.push(n);
    if (accepted || answer.status === 0) n += 1;
    return accepted;
  };

  if (number === 0) await doWrong(node);
  for (let i = 1; i < settings.eventsPerSubject; i++) {
    const due = first + (i - 1) * interval();
    await pause(due - clock.seconds());
    measures.publishLag.add(Math.max(0, clock.seconds() - due) * 1000);
    await send(false);
  }
  await pause(first + (settings.eventsPerSubject - 1) * interval() - clock.seconds());
  for (let tries = 0; tries < FINAL_TRIES && !(await send(true)); tries++) await pause(0.25);
}

function count(answer) {
  const accepted = answer.status === 200;
  check(answer, { 'publish was accepted': () => accepted });
  measures.publishTime.add(answer.timings.duration);
  if (accepted) measures.published.add(1);
  else (answer.status === 0 ? measures.unanswered : measures.refused).add(1);
  return accepted;
}

function post(node, subject, data) {
  return http.asyncRequest('POST', `${node}/v1/publish/${subject}`, JSON.stringify(data), {
    headers: { 'content-type': 'application/json' },
    tags: { name: 'publish' }, // one series, whatever the subject
  });
}

// SELF_CHECK: one event that the node has to refuse, or that nobody answers.
async function doWrong(node) {
  if (settings.selfCheck === 'refuse') count(await post(node, 'a..subject', {}));
  if (settings.selfCheck === 'unanswered') count(await post('http://127.0.0.1:1', 'loadtest.nobody', {}));
}
