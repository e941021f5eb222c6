// Some clients read stored events through a line that carries less than comes for them. They get everything, later; nobody
// else notices them.
import { scenario } from './lib/scenario.js';

export const { options, setup, listen, publish, handleSummary } = scenario('slow-readers', {
  clients: 60,
  storedPercent: 100,
  slowPercent: 20,
  wildcardPercent: 10,
  rate: 60,
  duration: 12,
  payload: 5000,
  // A line that has been slow goes on for a while.
  quiet: 10,
});
