// Most clients come and go all the time, each for itself, as people who walk through pages do. Of stored subjects they get
// everything, once and in order.
import { scenario } from './lib/scenario.js';

export const { options, setup, listen, publish, handleSummary } = scenario('churn', {
  clients: 300,
  storedPercent: 50,
  movingPercent: 80,
  stay: 3,
  away: 1,
  rate: 40,
  duration: 30,
});
