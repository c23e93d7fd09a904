import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Offer } from './offers.ts';
import { packZip } from './pack-zip.ts';

/** Every provider that dstack downloads prices for: one that is missing is an error in the server's log. */
const PROVIDERS = ['aws', 'azure', 'verda', 'gcp', 'lambdalabs', 'nebius', 'oci', 'runpod', 'cloudrift'];
const COLUMNS =
  'instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags,cpu_arch,provider_data';

/** Writes the price catalog that dstack downloads; a new `version` makes a running server take it again. */
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
  // The one archive that releases before 0.21 take; they log of each other provider that it isn't there.
  await writeFile(path.join(folder, 'catalog.zip'), packCatalog('cloudrift', offers));
}

function packCatalog(provider: string, offers: readonly Offer[]): Buffer {
  const csv = [COLUMNS, ...offers.map(toRow), ''].join('\n');
  return packZip(`${provider}.csv`, Buffer.from(csv));
}

function toRow(offer: Offer): string {
  const { instanceType, region, dollarsPerHour, cpus, memoryGb, gpuCount, gpuName, gpuMemoryGb, diskGb } = offer;
  const cells = [instanceType, region, dollarsPerHour, cpus, memoryGb, gpuCount, gpuName, gpuMemoryGb, 'False', diskGb];
  return [...cells, 'nvidia', '', 'x86', '{}'].join(',');
}
