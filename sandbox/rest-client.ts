/** Asks dstack's REST API and gives back what it answered. */
export type RestClient = (path: string, body?: unknown) => Promise<unknown>;

/** Creates a client of one server that speaks as the owner of `token`; an error status is thrown with the server's words. */
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
