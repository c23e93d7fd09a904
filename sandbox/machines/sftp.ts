import type { Attributes, SFTPWrapper } from 'ssh2';
import ssh2 from 'ssh2';

const { STATUS_CODE } = ssh2.utils.sftp;

/** Accepts SFTP uploads. Discards their content but keeps their sizes, which the client compares. */
export function serveUploads(sftp: SFTPWrapper): void {
  const sizes = new Map<string, number>();
  const open = new Map<string, string>();
  let handleCount = 0;

  const attributes = (size: number): Attributes => ({ mode: 0o100644, uid: 0, gid: 0, size, atime: 0, mtime: 0 });
  const stat = (requestId: number, path: string | undefined): void => {
    const size = path === undefined ? undefined : sizes.get(path);
    if (size === undefined) sftp.status(requestId, STATUS_CODE.NO_SUCH_FILE);
    else sftp.attrs(requestId, attributes(size));
  };

  sftp.on('OPEN', (requestId, path) => {
    const handle = Buffer.alloc(4);
    handle.writeUInt32BE(handleCount++);
    open.set(handle.toString('hex'), path);
    sizes.set(path, 0);
    sftp.handle(requestId, handle);
  });
  sftp.on('WRITE', (requestId, handle, offset, data) => {
    const path = open.get(handle.toString('hex'));
    if (path === undefined) return sftp.status(requestId, STATUS_CODE.FAILURE);
    sizes.set(path, Math.max(sizes.get(path) ?? 0, offset + data.length));
    sftp.status(requestId, STATUS_CODE.OK);
  });
  sftp.on('CLOSE', (requestId, handle) => {
    open.delete(handle.toString('hex'));
    sftp.status(requestId, STATUS_CODE.OK);
  });
  sftp.on('STAT', stat);
  sftp.on('LSTAT', stat);
  sftp.on('FSTAT', (requestId, handle) => stat(requestId, open.get(handle.toString('hex'))));
  sftp.on('REALPATH', (requestId, path) =>
    sftp.name(requestId, [{ filename: path, longname: path, attrs: attributes(0) }]),
  );
}
