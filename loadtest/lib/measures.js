// The measurements and their thresholds, the same in every scenario.
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import { settings } from './settings.js';

export const eventLatency = new Trend('event_latency', true);
export const pollLatency = new Trend('poll_latency', true);
export const slowLatency = new Trend('slow_latency', true);
export const connectTime = new Trend('connect_time', true);
export const backTime = new Trend('back_time', true);
export const publishTime = new Trend('publish_time', true);
export const publishLag = new Trend('publish_lag', true);
export const publishingSeconds = new Gauge('publishing_seconds');
export const published = new Counter('events_published');
export const refused = new Counter('publishes_refused');
export const unanswered = new Counter('publishes_unanswered');
export const expected = new Counter('events_expected');
export const received = new Counter('events_received');
export const replayed = new Counter('events_replayed');
export const lost = new Counter('events_lost');
export const duplicated = new Counter('events_duplicated');
export const outOfOrder = new Counter('events_out_of_order');
export const unasked = new Counter('events_unasked');
export const gaps = new Counter('gaps');
export const disconnects = new Counter('disconnects');
export const resumes = new Rate('resumes');
export const clientsDone = new Counter('clients_done');

export function thresholds() {
  const none = ['count==0'];
  return {
    event_latency: [`p(95)<${settings.latencyP95}`, `p(99)<${settings.latencyP99}`],
    connect_time: [`p(95)<${settings.connectP95}`],
    events_lost: none,
    events_duplicated: none,
    events_out_of_order: none,
    events_unasked: none,
    gaps: none,
    // Of those that came back: how many missed nothing.
    resumes: ['rate==1'],
    publishes_refused: none,
    publishes_unanswered: none,
    disconnects: none,
    // A metric that was never written to holds any threshold, so nothing above shows that anything was measured.
    clients_done: [`count==${settings.clients}`],
    events_received: ['count>0'],
  };
}
