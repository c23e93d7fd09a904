import { Duplex } from 'node:stream';

/**
 * Wraps a stream so that ending the wrapper ends what is below only where `mayEnd` says so then.
 * A WebSocket that the dstack CLI closes must leave ending the connection to the CLI, which hangs otherwise.
 */
export function holdOpen(stream: Duplex, mayEnd: () => boolean): Duplex {
  const wrapper = new Duplex({
    read: () => stream.resume(),
    write: (chunk, encoding, done) => {
      if (stream.writable) stream.write(chunk, encoding, done);
      else done();
    },
    final: (done) => {
      if (mayEnd()) stream.end();
      done();
    },
  });
  stream.on('data', (chunk) => {
    if (!wrapper.push(chunk)) stream.pause();
  });
  stream.on('end', () => wrapper.push(null));
  stream.on('close', () => wrapper.destroy());
  stream.on('error', () => wrapper.destroy());
  return wrapper;
}
