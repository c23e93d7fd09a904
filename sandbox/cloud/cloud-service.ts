/** A request to the simulated cloud. A body that isn't JSON is undefined. */
export interface CloudRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** The response of a simulated service, with `content` as the body, or `json` serialized. Defaults to an empty body. */
export interface CloudAnswer {
  readonly status: number;
  readonly json?: unknown;
  readonly content?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A simulated service for one host name. */
export type CloudService = (request: CloudRequest) => CloudAnswer | Promise<CloudAnswer>;
