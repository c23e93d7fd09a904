import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** The address on which a simulated host listens (`bind`), and the name by which the server reaches it. */
export interface HostAddress {
  readonly hostname: string;
  readonly bind: string;
}

/** Names for 127.0.0.1 on systems with a single loopback address (macOS), since dstack needs a unique name for each host. */
const LOOPBACK_NAMES = ['127.0.0.1', 'localhost', '127.1', '127.0.1', '0x7f.1', '0177.1'];

/** Picks random loopback addresses, so that several sandboxes can run at once. */
export async function pickAddresses(count: number): Promise<HostAddress[]> {
  const addresses = new Set<string>();
  while (addresses.size < count) addresses.add(pickAddress());
  const picked = [...addresses];
  const [first] = picked;
  if (first !== undefined && (await canListen(first)))
    return picked.map((address) => ({ hostname: address, bind: address }));
  return picked.map((_, index) => {
    const hostname = LOOPBACK_NAMES[index];
    if (hostname === undefined) throw new Error(`this system supports at most ${LOOPBACK_NAMES.length} hosts`);
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
