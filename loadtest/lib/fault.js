// SELF_CHECK: does wrong on purpose, to prove that the scenario notices. Each kind has to turn the thresholds red that
// scripts/loadtest_controls.py names. Those below stand between the wire and a client; the others are where they happen.
import { settings } from './settings.js';

// Of one client and one subject, or of all. `skip`, `twice` and the like work on single frames of events.
const kinds = {
  // One event is lost in the middle.
  drop: ({ handle, isVictims }) => (frame) => isVictims(frame, 2) || handle(frame),
  // The end is lost, so that nothing follows that would betray it.
  cut: ({ handle, isVictims }) => (frame) => isVictims(frame) && frame.event.data.n >= 2 || handle(frame),
  duplicate: ({ handle, isVictims }) => (frame) => {
    handle(frame);
    if (isVictims(frame, 2)) handle(frame);
  },
  swap: ({ handle, isVictims }) => {
    let held;
    return (frame) => {
      if (isVictims(frame, 2)) {
        held = frame;
        return;
      }
      handle(frame);
      if (held && isVictims(frame)) {
        handle(held);
        held = undefined;
      }
    };
  },
  // An event of a subject that nobody subscribed to.
  stray: ({ handle, isVictims }) => (frame) => {
    handle(frame);
    if (isVictims(frame, 2)) handle({ event: { ...frame.event, subject: 'loadtest.stray' } });
  },
  gap: ({ handle, isVictims }) => (frame) => {
    handle(frame);
    if (isVictims(frame, 2)) handle({ gap: { subject: frame.event.subject, reason: 'overflow' } });
  },
  // The connection ends although nobody asked for it.
  hangup: ({ handle, isVictims, hangUp }) => (frame) => {
    handle(frame);
    if (isVictims(frame, 2)) hangUp();
  },
  // Of all clients from here on.
  silent: ({ handle }) => (frame) => frame.event || frame.replay || handle(frame),
  delay: ({ handle }) => {
    // In order, which timers of the same moment are not.
    const held = [];
    return (frame) => {
      if (!frame.event && !frame.replay) return handle(frame);
      held.push(frame);
      setTimeout(() => handle(held.shift()), settings.latencyP99 + 200);
    };
  },
  'late-welcome': ({ handle }) => (frame) => {
    if (frame.welcome) setTimeout(() => handle(frame), settings.connectP95 + 200);
    else handle(frame);
  },
};
const ofAll = ['silent', 'delay', 'late-welcome'];
// A client that resumes without its cursors, one that does not report, events that the node refuses or nobody answers.
const elsewhere = ['forget', 'absent', 'refuse', 'unanswered'];

export function checkFault() {
  const known = [...Object.keys(kinds), ...elsewhere];
  if (settings.selfCheck && !known.includes(settings.selfCheck)) {
    throw new Error(`SELF_CHECK=${settings.selfCheck}: expected one of ${known.join(', ')}`);
  }
}

// The fault that stands before a client: none, unless one was asked for.
export function faulty(isVictim, victimSubject, hangUp) {
  const kind = kinds[settings.selfCheck];
  if (!kind || !(isVictim || ofAll.includes(settings.selfCheck))) return undefined;
  const isVictims = ({ event }, n) => event?.subject === victimSubject && (n === undefined || event.data.n === n);
  let fault;
  let handle;
  return (frames, to) => {
    handle = to;
    fault ??= kind({ handle: (frame) => handle(frame), isVictims, hangUp });
    frames.forEach(fault);
  };
}
