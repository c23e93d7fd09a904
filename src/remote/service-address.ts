import { ToolError } from '../core/errors.ts';
import type { RunFacts } from '../dstack/output/read-state.ts';

/** The address of a service, if requests may be sent there. */
export interface ServiceAddress {
  /** On the dstack server itself, or a domain of a gateway that the operator named. */
  readonly at: 'server' | 'gateway';
  /** Ends with a slash. */
  readonly base: URL;
}

/** The configuration that decides where a request may go. Nothing in it comes from the server. */
export interface KnownPlaces {
  readonly server: string;
  readonly project: string;
  /** Whether the operator named the domain as one of a gateway. */
  readonly isGateway: (domain: string) => boolean;
}

/**
 * Returns the address of a service. The server chooses the address that it reports: it counts only if it is the service's own place on
 * the configured server, or a domain that the operator named.
 * @throws ToolError `policy` for any other address: nothing is sent there
 */
export function addressOf(run: Pick<RunFacts, 'name' | 'serviceUrl'>, places: KnownPlaces): ServiceAddress {
  const { server, project, isGateway } = places;
  const url = run.serviceUrl !== undefined && URL.canParse(run.serviceUrl) ? new URL(run.serviceUrl) : undefined;
  const own = `${server.replace(/\/+$/, '')}/proxy/services/${encodeURIComponent(project)}/${run.name}/`;
  const base = URL.canParse(own) ? new URL(own) : undefined;
  if (base !== undefined && isPlain(base) && url?.href === base.href) return { at: 'server', base };
  if (url !== undefined && isPlain(url) && url.protocol === 'https:' && url.port === '' && isGateway(url.hostname))
    return { at: 'gateway', base: new URL('/', url) };
  throw new ToolError(
    'policy',
    `The service ${run.name} is at ${url?.origin ?? 'an address that is not valid'}, which is neither the configured dstack server nor a gateway that the operator named. No request and no token was sent.`,
    'Show the user how to call it themselves: get prints the call. The operator can name the domains of gateways in the policy.',
  );
}

/** Without a user, a query and a fragment, over HTTP. */
const isPlain = ({ protocol, username, password, search, hash }: URL): boolean =>
  /^https?:$/.test(protocol) && username === '' && password === '' && search === '' && hash === '';

// Plain characters, and escapes of nothing that a proxy on the way could read as a separator, a dot or another escape.
const PATH = /^\/(?!\/)(?:[\w.~!$&'()*+,;=:@-]|\/(?!\/)|%(?![01]|7f|25|2e|2f|5c|c0|c1)[0-9a-f]{2})*$/i;
const QUERY = /^[\w.~!$&'()*+,;=:@/?%[\]|-]*$/;
/** A segment that leads up, also with the parameters that some servers remove. */
const DOTS = /\/\.{1,2}(?:;[^/]*)?(?:\/|$)/;

/**
 * Checks a path within a service, before anything is run for it.
 * @throws ToolError `invalid-input` for a path that could lead out of the service, for it or for any proxy on the way
 */
export function assertPath(pathAndQuery: string): void {
  const [path = '', ...queries] = pathAndQuery.split('?');
  if (!PATH.test(path) || DOTS.test(path) || !QUERY.test(queries.join('?'))) throw notWithin(pathAndQuery);
}

/** Returns the URL of a path within a service. @throws ToolError as `assertPath` does */
export function resolvePath({ base }: Pick<ServiceAddress, 'base'>, pathAndQuery: string): URL {
  assertPath(pathAndQuery);
  const url = new URL(`${base.href}${pathAndQuery.slice(1)}`);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname) || !isWithin(url))
    throw notWithin(pathAndQuery);
  return url;
}

const notWithin = (pathAndQuery: string): ToolError =>
  new ToolError(
    'invalid-input',
    `${JSON.stringify(pathAndQuery)} isn't a path within the service. Nothing was sent.`,
    'Give a path such as /health or /v1/models?limit=5: it starts with one slash, has no host, no dot segments, and encodes other characters as %20.',
  );

const isWithin = ({ username, password, hash }: URL): boolean => username === '' && password === '' && hash === '';
