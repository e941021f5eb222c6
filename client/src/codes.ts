// What the node's refusals and Close frames are called. Written by scripts/codes.mjs; do not edit.

/** Every refusal: the HTTP status that carries it, and whether the same may succeed later. */
export const ERROR_CODES = {
  bad_frame: { status: 400, retryable: false },
  bad_subject: { status: 400, retryable: false },
  bad_request: { status: 400, retryable: false },
  unauthorized: { status: 401, retryable: false },
  keys_unavailable: { status: 503, retryable: true },
  forbidden: { status: 403, retryable: false },
  origin_refused: { status: 403, retryable: false },
  not_stored: { status: 404, retryable: false },
  not_found: { status: 404, retryable: false },
  method_not_allowed: { status: 405, retryable: false },
  too_large: { status: 413, retryable: false },
  unsupported_encoding: { status: 415, retryable: false },
  unsupported_version: { status: 426, retryable: false },
  subscription_limit: { status: 429, retryable: false },
  wildcard_limit: { status: 429, retryable: false },
  user_limit: { status: 429, retryable: false },
  user_full: { status: 429, retryable: true },
  address_limit: { status: 429, retryable: true },
  rate_limited: { status: 429, retryable: true },
  request_limit: { status: 429, retryable: true },
  in_flight_limit: { status: 429, retryable: true },
  answer_limit: { status: 429, retryable: true },
  unsupported: { status: 501, retryable: false },
  service_error: { status: 502, retryable: false },
  bad_response: { status: 502, retryable: false },
  no_responders: { status: 503, retryable: true },
  stream_refused: { status: 507, retryable: true },
  broker_unavailable: { status: 503, retryable: true },
  broker_refused: { status: 503, retryable: true },
  draining: { status: 503, retryable: true },
  connection_limit: { status: 503, retryable: true },
  overloaded: { status: 503, retryable: true },
  timeout: { status: 504, retryable: true },
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;

/** Why a connection ended, by the code of its Close frame. */
export const CLOSE_CODES = {
  1000: 'normal',
  1002: 'protocol_error',
  1003: 'wrong_kind',
  1006: 'lost',
  1007: 'invalid_utf8',
  1009: 'too_big',
  1011: 'internal',
  4001: 'draining',
  4002: 'slow_consumer',
  4003: 'ping_timeout',
  4004: 'rate_limited',
  4005: 'connect_timeout',
  4006: 'message_timeout',
  4007: 'token_expired',
  4008: 'disconnected',
  4010: 'keys_unavailable',
  4011: 'message_too_big',
  4020: 'idle',
  4410: 'user_full',
  4500: 'bad_frame',
  4501: 'unauthorized',
  4502: 'revoked',
  4510: 'user_limit',
} as const;
export type CloseCode = keyof typeof CLOSE_CODES;

/** Whether to connect again: the range decides, so that codes to come are obeyed. */
export const reconnects = (code: number): boolean =>
  (code >= 4000 && code <= 4499) || [1001, 1006, 1011, 1012, 1013].includes(code);
