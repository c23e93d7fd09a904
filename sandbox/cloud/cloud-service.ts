/** A request that reached the simulated cloud; a body that isn't JSON is undefined. */
export interface CloudRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** What a simulated service answers; `content` goes out as it is, `json` as JSON, neither as an empty body. */
export interface CloudAnswer {
  readonly status: number;
  readonly json?: unknown;
  readonly content?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One simulated service, answering for one host name. */
export type CloudService = (request: CloudRequest) => CloudAnswer | Promise<CloudAnswer>;
