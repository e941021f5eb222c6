// The mix of `smoke` for a long time.
import { scenario } from './lib/scenario.js';

export const { options, setup, listen, publish, handleSummary } = scenario('soak', {
  clients: 200,
  storedPercent: 50,
  pollPercent: 5,
  movingPercent: 40,
  stay: 20,
  away: 2,
  rate: 40,
  duration: 600,
});
