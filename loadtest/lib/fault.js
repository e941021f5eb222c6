// SELF_CHECK: does wrong to what one client hears, to prove that the script notices. Each kind has to turn the run red.
import { selfCheck } from './settings.js';

const kinds = {
  // One event is lost in the middle.
  drop: (hear) => (subject, data) => {
    if (data.n !== 2) hear(subject, data);
  },
  // The end is lost, so that nothing follows that would betray it.
  cut: (hear) => (subject, data) => {
    if (data.n < 2) hear(subject, data);
  },
  duplicate: (hear) => (subject, data) => {
    hear(subject, data);
    if (data.n === 2) hear(subject, data);
  },
  swap: (hear) => {
    let held;
    return (subject, data) => {
      if (data.n === 2) {
        held = data;
        return;
      }
      hear(subject, data);
      if (held) hear(subject, held);
      held = undefined;
    };
  },
};

if (selfCheck && !kinds[selfCheck]) {
  throw new Error(`SELF_CHECK=${selfCheck}: expected one of ${Object.keys(kinds).join(', ')}`);
}

// `hear` with the fault in front of it, on this subject only.
export function faulty(victim, hear) {
  if (!selfCheck) return hear;
  const wrong = kinds[selfCheck](hear);
  return (subject, data) => (subject === victim ? wrong : hear)(subject, data);
}
