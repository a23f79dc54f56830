import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import type { Deployment } from '../compose.js';

/** The fields are the engine's options of the same names, which checks them. */
const fileSchema = z.strictObject({
  hosts: z.array(z.unknown()).optional(),
  network: z.record(z.string(), z.unknown()).optional(),
});

export type HostsFile = Pick<Deployment, 'hosts' | 'network'>;

/** Commander's parser of `--hosts`: reads the file. */
export function hostsFile(path: string): HostsFile {
  const parsed = fileSchema.safeParse(readJson(path));
  if (parsed.success) return parsed.data as HostsFile;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  throw new InvalidArgumentError(
    `${path}: ${where === '' ? '' : `${where}: `}${issue?.message ?? 'invalid'}. Expected {"hosts": […], "network": {…}}.`,
  );
}

/** The file's deployment, with the key that the environment names: a file or a flag would show it to more eyes. */
export function hostsDeployment(file: HostsFile = {}, preSharedKey: string | undefined): HostsFile {
  if (preSharedKey === undefined) return file;
  return { ...file, network: { ...file.network, preSharedKey } };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new InvalidArgumentError(`Cannot read ${path}: ${(error as Error).message}.`);
  }
}
