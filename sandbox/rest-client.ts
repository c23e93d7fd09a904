/** Calls dstack's REST API and returns the parsed response. */
export type RestClient = (path: string, body?: unknown) => Promise<unknown>;

/** Creates a client for a server. Its calls throw on an error status, with the server's message. */
export function createRestClient(url: string, token: string): RestClient {
  return async (path, body) => {
    const response = await fetch(new URL(path, url), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body ?? {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text.slice(0, 2000)}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };
}
