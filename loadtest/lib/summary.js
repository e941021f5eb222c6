// The end of a run in words. Takes what k6 gives to handleSummary, returns text.
import * as settings from './settings.js';

export function summary(data) {
  const value = (name, key) => (data.metrics[name] ? data.metrics[name].values[key] : 0);
  const count = (name) => value(name, 'count');
  const seconds = value('publishing_seconds', 'max');
  const perSecond = (name) => (seconds > 0 ? `${(count(name) / seconds).toFixed(0)}/s` : '');
  const times = (name) =>
    count(name) > 0
      ? [['p50', 'med'], ['p95', 'p(95)'], ['p99', 'p(99)'], ['max', 'max']]
          .map(([label, key]) => `${label} ${value(name, key).toFixed(2).padStart(8)}`)
          .join('   ')
      : 'not measured';
  const row = (label, number, note = '') => `  ${label.padEnd(16)}${String(number).padStart(10)}   ${note}`.trimEnd();

  return [
    '',
    `Fan-out: ${settings.clients} clients, ${settings.subjects} subjects, ${settings.rate} events/s for ${settings.duration} s`,
    '',
    row('published', count('events_published'), `${perSecond('events_published')} of ${settings.rate}/s asked for`.trim()),
    row('  refused', count('publishes_refused')),
    row('  unanswered', count('publishes_unanswered')),
    row('expected', count('events_expected'), 'by all clients together'),
    row('received', count('events_received'), perSecond('events_received')),
    row('lost', count('events_lost')),
    row('duplicated', count('events_duplicated')),
    row('out of order', count('events_out_of_order')),
    row('not asked for', count('events_unasked')),
    row('clients done', count('clients_done'), `${count('disconnects')} disconnected early`),
    '',
    `  ms, publish to receive   ${times('event_latency')}`,
    `  ms, connect to welcome   ${times('connect_time')}`,
    `  ms, POST to answer       ${times('http_req_duration')}`,
    `  ms, behind schedule      ${times('publish_lag')}`,
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
