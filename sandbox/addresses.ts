import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Where a simulated host listens (`bind`) and by what name the server reaches it. */
export interface HostAddress {
  readonly hostname: string;
  readonly bind: string;
}

/** The names by which 127.0.0.1 can be called where it is the only loopback address (macOS): dstack wants one name for each host. */
const NAMES_OF_LOOPBACK = ['127.0.0.1', 'localhost', '127.1', '127.0.1', '0x7f.1', '0177.1'];

/** Picks that many loopback addresses of their own, so that several sandboxes can run at once. */
export async function pickAddresses(count: number): Promise<HostAddress[]> {
  const addresses = new Set<string>();
  while (addresses.size < count) addresses.add(pickAddress());
  const picked = [...addresses];
  const [first] = picked;
  if (first !== undefined && (await canListen(first)))
    return picked.map((address) => ({ hostname: address, bind: address }));
  return picked.map((_, index) => {
    const hostname = NAMES_OF_LOOPBACK[index];
    if (hostname === undefined) throw new Error(`only ${NAMES_OF_LOOPBACK.length} hosts are possible on this system`);
    return { hostname, bind: '127.0.0.1' };
  });
}

function pickAddress(): string {
  return `127.${randomInt(16, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
}

function canListen(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(0, address, () => server.close(() => resolve(true)));
  });
}
