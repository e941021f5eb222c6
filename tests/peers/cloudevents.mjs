// cloudevents.mjs NODE NATS: the official CloudEvents SDK for JavaScript.
//
// Publishes events to the node and to NATS in both modes, reads them from an event stream, and prints for each what went
// in and what came out, as one line of JSON.
import { connect, headers as natsHeaders } from '@nats-io/transport-node';
import { CloudEvent, HTTP } from 'cloudevents';

const [node, broker] = process.argv.slice(2);
// Whoever started this may have failed and gone.
setTimeout(() => process.exit(1), 60_000).unref();

const DATA = {
  'application/json': { qty: 2, name: 'mug \u00fc' },
  'text/plain': 'two mugs\n\u00fc',
  'image/png': new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0xff]),
};

const events = (way) => Object.entries(DATA).map(([datacontenttype, data]) => new CloudEvent({
  id: `${way} ${datacontenttype}`,
  source: '/carts/50',
  type: 'shop.cart.changed',
  subject: 'u42',
  time: '2026-11-22T10:00:00.120Z',
  datacontenttype,
  dataschema: 'https://shop.example/cart.json',
  tenant: 'blue',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  data,
}));

const overHttp = async ({ headers, body }) => {
  const answer = await fetch(`${node}/v1/publish/ce.js`, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(await answer.text());
};

const overNats = async (client, message) => {
  const headers = natsHeaders();
  for (const [name, value] of Object.entries(message.headers)) headers.set(name, value);
  client.publish('ce.js', message.body, { headers });
};

// The messages of an event stream: name and data.
async function* messages(answer) {
  let text = '';
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const whole = (text + chunk).split('\n\n');
    text = whole.pop();
    for (const message of whole) {
      const fields = Object.fromEntries(message.split('\n').map((line) => line.split(/: (.*)/)));
      if (fields.data) yield [fields.event ?? '', fields.data];
    }
  }
}

const shown = ({ data, data_base64, ...attributes }) => ({
  ...attributes,
  time: new Date(attributes.time).toISOString(),
  data: data_base64 ?? (data instanceof Uint8Array ? Buffer.from(data).toString('base64') : data),
});

const stream = messages(await fetch(`${node}/v1/events?subject=ce.js&format=cloudevents`));
while ((await stream.next()).value[0] !== 'subscribed');
const client = await connect({ servers: broker });
const sent = [];
for (const mode of ['binary', 'structured']) {
  for (const event of events(`http-${mode}`)) {
    sent.push(event);
    await overHttp(HTTP[mode](event));
  }
  for (const event of events(`nats-${mode}`)) {
    sent.push(event);
    await overNats(client, HTTP[mode](event));
  }
  await client.flush();
}
await client.close();
const result = [];
while (result.length < sent.length) {
  const [name, body] = (await stream.next()).value;
  if (name) continue;
  const got = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body });
  const event = sent.find(({ id }) => id === got.id);
  result.push({ sent: shown(event.toJSON()), got: shown(got.toJSON()) });
}
console.log(JSON.stringify(result));
process.exit(0);
