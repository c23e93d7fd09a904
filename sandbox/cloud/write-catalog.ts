import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { Offer } from './offers.ts';

/** All providers whose prices dstack downloads. A missing one causes an error in the server's log. */
const PROVIDERS = ['aws', 'azure', 'verda', 'gcp', 'lambdalabs', 'nebius', 'oci', 'runpod', 'cloudrift'];
const COLUMNS =
  'instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags,cpu_arch,provider_data';

/** Writes the price catalog that dstack downloads. A new `version` makes a running server download it again. */
export async function writeCatalog(folder: string, offers: readonly Offer[], version: number): Promise<void> {
  await Promise.all(
    PROVIDERS.map(async (provider) => {
      const zip = packCatalog(provider, provider === 'cloudrift' ? offers : []);
      const target = path.join(folder, provider, String(version));
      await mkdir(target, { recursive: true });
      await writeFile(path.join(target, 'catalog.zip'), zip);
      await writeFile(path.join(folder, provider, 'version'), `${version}\n`);
    }),
  );
  // dstack before 0.21 downloads a single archive, and logs the other providers as missing.
  await writeFile(path.join(folder, 'catalog.zip'), packCatalog('cloudrift', offers));
}

function packCatalog(provider: string, offers: readonly Offer[]): Buffer {
  const csv = [COLUMNS, ...offers.map(toRow), ''].join('\n');
  return packZip(`${provider}.csv`, Buffer.from(csv));
}

// 1980-01-01, the earliest date of the format.
const DOS_DATE = 0x21;

/** Packs a file, uncompressed, into a zip archive. */
function packZip(name: string, content: Buffer): Buffer {
  const nameBytes = Buffer.from(name);
  const shared = Buffer.alloc(26);
  shared.writeUInt16LE(20, 0);
  shared.writeUInt16LE(DOS_DATE, 8);
  shared.writeUInt32LE(crc32(content), 10);
  shared.writeUInt32LE(content.length, 14);
  shared.writeUInt32LE(content.length, 18);
  shared.writeUInt16LE(nameBytes.length, 22);
  const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), shared, nameBytes, content]);
  const entry = Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000'), shared, Buffer.alloc(14), nameBytes]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(entry.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, entry, Buffer.from('PK\u0005\u0006'), end]);
}

function toRow(offer: Offer): string {
  const { instanceType, region, dollarsPerHour, cpus, memoryGb, gpuCount, gpuName, gpuMemoryGb, diskGb } = offer;
  const cells = [instanceType, region, dollarsPerHour, cpus, memoryGb, gpuCount, gpuName, gpuMemoryGb, 'False', diskGb];
  return [...cells, 'nvidia', '', 'x86', '{}'].join(',');
}
