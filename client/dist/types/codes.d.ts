/** Every refusal: the HTTP status that carries it, and whether the same may succeed later. */
export declare const ERROR_CODES: {
    readonly bad_frame: {
        readonly status: 400;
        readonly retryable: false;
    };
    readonly bad_subject: {
        readonly status: 400;
        readonly retryable: false;
    };
    readonly bad_request: {
        readonly status: 400;
        readonly retryable: false;
    };
    readonly unauthorized: {
        readonly status: 401;
        readonly retryable: false;
    };
    readonly keys_unavailable: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly forbidden: {
        readonly status: 403;
        readonly retryable: false;
    };
    readonly origin_refused: {
        readonly status: 403;
        readonly retryable: false;
    };
    readonly not_stored: {
        readonly status: 404;
        readonly retryable: false;
    };
    readonly not_found: {
        readonly status: 404;
        readonly retryable: false;
    };
    readonly method_not_allowed: {
        readonly status: 405;
        readonly retryable: false;
    };
    readonly too_large: {
        readonly status: 413;
        readonly retryable: false;
    };
    readonly unsupported_encoding: {
        readonly status: 415;
        readonly retryable: false;
    };
    readonly unsupported_version: {
        readonly status: 426;
        readonly retryable: false;
    };
    readonly subscription_limit: {
        readonly status: 429;
        readonly retryable: false;
    };
    readonly wildcard_limit: {
        readonly status: 429;
        readonly retryable: false;
    };
    readonly user_limit: {
        readonly status: 429;
        readonly retryable: false;
    };
    readonly user_full: {
        readonly status: 429;
        readonly retryable: true;
    };
    readonly address_limit: {
        readonly status: 429;
        readonly retryable: true;
    };
    readonly rate_limited: {
        readonly status: 429;
        readonly retryable: true;
    };
    readonly request_limit: {
        readonly status: 429;
        readonly retryable: true;
    };
    readonly in_flight_limit: {
        readonly status: 429;
        readonly retryable: true;
    };
    readonly answer_limit: {
        readonly status: 429;
        readonly retryable: true;
    };
    readonly unsupported: {
        readonly status: 501;
        readonly retryable: false;
    };
    readonly service_error: {
        readonly status: 502;
        readonly retryable: false;
    };
    readonly bad_response: {
        readonly status: 502;
        readonly retryable: false;
    };
    readonly no_responders: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly stream_refused: {
        readonly status: 507;
        readonly retryable: true;
    };
    readonly broker_unavailable: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly broker_refused: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly draining: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly connection_limit: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly overloaded: {
        readonly status: 503;
        readonly retryable: true;
    };
    readonly timeout: {
        readonly status: 504;
        readonly retryable: true;
    };
};
export type ErrorCode = keyof typeof ERROR_CODES;
/** Why a connection ended, by the code of its Close frame. */
export declare const CLOSE_CODES: {
    readonly 1000: 'normal';
    readonly 1002: 'protocol_error';
    readonly 1003: 'wrong_kind';
    readonly 1006: 'lost';
    readonly 1007: 'invalid_utf8';
    readonly 1009: 'too_big';
    readonly 1011: 'internal';
    readonly 4001: 'draining';
    readonly 4002: 'slow_consumer';
    readonly 4003: 'ping_timeout';
    readonly 4004: 'rate_limited';
    readonly 4005: 'connect_timeout';
    readonly 4006: 'message_timeout';
    readonly 4007: 'token_expired';
    readonly 4008: 'disconnected';
    readonly 4010: 'keys_unavailable';
    readonly 4011: 'message_too_big';
    readonly 4020: 'idle';
    readonly 4410: 'user_full';
    readonly 4500: 'bad_frame';
    readonly 4501: 'unauthorized';
    readonly 4502: 'revoked';
    readonly 4510: 'user_limit';
};
export type CloseCode = keyof typeof CLOSE_CODES;
/** Whether to connect again: the range decides, so that codes to come are obeyed. */
export declare const reconnects: (code: number) => boolean;
