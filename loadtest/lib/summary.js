// The end of a run, in words and as JSON. Takes what k6 gives to handleSummary.
import { settings } from './settings.js';

export function summaries(name, data) {
  const text = summary(name, data);
  const files = { stdout: text };
  const json = () => JSON.stringify({ scenario: name, settings, ...data }, null, 2);
  if (settings.summaryJson) files[settings.summaryJson] = json();
  if (settings.summaryText) files[settings.summaryText] = text;
  return files;
}

function summary(name, data) {
  const value = (metric, key) => (data.metrics[metric] ? data.metrics[metric].values[key] : 0);
  const count = (metric) => value(metric, 'count');
  const seconds = value('publishing_seconds', 'max');
  const perSecond = (metric) => (seconds > 0 ? `${(count(metric) / seconds).toFixed(0)}/s` : '');
  const times = (metric) =>
    [['p50', 'med'], ['p95', 'p(95)'], ['p99', 'p(99)'], ['max', 'max']]
      .map(([label, key]) => `${label} ${value(metric, key).toFixed(2).padStart(9)}`)
      .join('   ');
  const row = (label, number, note = '') => `  ${label.padEnd(18)}${String(number).padStart(10)}   ${note}`.trimEnd();
  const timed = [
    ['publish to receive', 'event_latency'],
    ['the same by polls', 'poll_latency'],
    ['the same, slow', 'slow_latency'],
    ['connect to welcome', 'connect_time'],
    ['back until live', 'back_time'],
    ['POST to answer', 'publish_time'],
    ['behind schedule', 'publish_lag'],
  ].filter(([, metric]) => count(metric) > 0);
  const { passes = 0, fails = 0 } = data.metrics.resumes?.values ?? {};

  return [
    '',
    `${name}: ${settings.clients} clients, ${settings.subjects} subjects, ${settings.rate} events/s for ${settings.duration} s`,
    '',
    row('published', count('events_published'), `${perSecond('events_published')} of ${settings.rate}/s asked for`.trim()),
    row('  refused', count('publishes_refused')),
    row('  unanswered', count('publishes_unanswered')),
    row('expected', count('events_expected'), 'by all clients together'),
    row('received', count('events_received'), `${perSecond('events_received')}, ${count('events_replayed')} of them replayed`),
    row('lost', count('events_lost')),
    row('duplicated', count('events_duplicated')),
    row('out of order', count('events_out_of_order')),
    row('not asked for', count('events_unasked')),
    row('gaps', count('gaps')),
    row('clients done', count('clients_done'), `${count('disconnects')} disconnected early`),
    row('came back', passes + fails, `${fails} missed something`),
    '',
    ...timed.map(([label, metric]) => `  ms, ${label.padEnd(18)}   ${times(metric)}`),
    '',
    verdict(data.metrics),
    '',
  ].join('\n');
}

function verdict(metrics) {
  const broken = Object.entries(metrics).flatMap(([name, metric]) =>
    Object.entries(metric.thresholds || {})
      .filter(([, threshold]) => !threshold.ok)
      .map(([rule]) => `  RED  ${name} ${rule}, is ${actual(metric.values, rule)}`),
  );
  const checking = settings.selfCheck ? `  SELF_CHECK=${settings.selfCheck} was set: red is right` : '';
  return [...(broken.length ? broken : ['  GREEN  every threshold held']), checking].filter(Boolean).join('\n');
}

function actual(values, rule) {
  const number = values[rule.match(/^[a-z]+(\([\d.]+\))?/)[0]];
  return number === undefined ? 'unknown' : Number(number.toFixed(3));
}
