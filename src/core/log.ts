/** The levels of the log, lowest first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** The log, which goes to standard error: standard output is reserved for the protocol. */
export type Log = Readonly<Record<(typeof LOG_LEVELS)[number], (fields: object, text: string) => void>>;
