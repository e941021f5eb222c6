// The login of the page: tokens of its user, which `notifier dev` issues in place of a shop's login service.

/** The usual life of a token, and that of one that is made to end, seconds. */
const LIFE = 300;
export const SHORT_LIFE = 3;
/** A token that holds for less than this, milliseconds, is not brought to another connection. */
const LEAST_MS = 30_000;

/** How often the library has asked for a token, by reason. */
export const asked = { connect: 0, expiring: 0, rejected: 0 };

let held = { token: '', ends: 0 };

export async function issue(seconds) {
  const answer = await fetch(`demo/token/${seconds}`, { method: 'POST' });
  if (!answer.ok) throw new Error(`no token: ${await answer.text()}`);
  return answer.text();
}

/** What the library asks. To come back after a cut, the token that is here will do. */
export async function token({ reason }) {
  asked[reason] += 1;
  if (reason !== 'connect' || held.ends - Date.now() < LEAST_MS) {
    held = { token: await issue(LIFE), ends: Date.now() + LIFE * 1_000 };
  }
  return held.token;
}
