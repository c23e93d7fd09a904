/** Limits what one command may send to dstack's server. The gate in dstack's own process enforces it (`worker/wire_gate.py`). */
export interface WireRule {
  /** The URL of the server: nothing goes to another one. Null if it isn't known; no change is sent then. */
  readonly server: string | null;
  /** The project that changes go to. */
  readonly project: string | null;
  /** Whether files and repositories may be handed over, as planning a configuration does. */
  readonly handOver: boolean;
  /** Whether it waits before its first change for what may be sent. Otherwise it changes nothing. */
  readonly asks: boolean;
  /** The private keys and tokens that may be sent. Defaults to none. */
  readonly credentials?: readonly AdmittedCredential[];
  /** The archives of files that may be sent, by the digest of their content. Defaults to none. */
  readonly archives?: readonly string[];
}

/** A private key or a token that somebody agreed to send. */
export interface AdmittedCredential {
  /** Of its text, in hex. */
  readonly sha256: string;
  /** The repositories that it may be sent for, as dstack writes their URLs; missing for the key of a fleet. */
  readonly cloneUrls?: readonly string[];
}

/** The answer to a command that waits before its first change: the changes that may be sent, each once and in this order. */
export type HeldAnswer = { readonly changes: readonly ExpectedChange[] } | { readonly deny: string };

/** A change request, with the part of it that consent was given for. `path` is below `/api/project/<project>/`. */
export type ExpectedChange = { readonly path: string } & (
  | {
      /** The whole body. */
      readonly body: Json;
    }
  | {
      /** Properties that the body must have. */
      readonly within: Json;
    }
  | {
      /** The specification that the body has to carry: the one whose plan was requested at `path`, with this SHA-256. */
      readonly plan: { readonly path: string; readonly sha256: string };
    }
);

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
