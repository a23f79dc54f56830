import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import type { Deployment } from '../compose.js';

/** The other fields are the engine's options of the same names, which checks them. */
const fileSchema = z.strictObject({
  hosts: z.array(z.unknown()).optional(),
  network: z
    .looseObject({
      /** Path of a file that holds the key, from this file's directory. */
      preSharedKeyFile: z.string().min(1).optional(),
    })
    .optional(),
});

export type HostsFile = Pick<Deployment, 'hosts' | 'network'>;

/** Commander's parser of `--hosts`: reads the file, and the key's file if it names one. */
export function hostsFile(path: string): HostsFile {
  const parsed = fileSchema.safeParse(readJson(path));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.join('.') ?? '';
    throw new InvalidArgumentError(
      `${path}: ${where === '' ? '' : `${where}: `}${issue?.message ?? 'invalid'}. Expected {"hosts": […], "network": {…}}.`,
    );
  }
  const { hosts, network: { preSharedKeyFile, ...network } = {} } = parsed.data;
  const key =
    preSharedKeyFile === undefined
      ? {}
      : { preSharedKey: readText(resolve(dirname(path), preSharedKeyFile)).trimEnd() };
  return {
    ...(hosts === undefined ? {} : { hosts }),
    network: { ...network, ...key },
  } as HostsFile;
}

/** The file's deployment, with the key that the environment names: a flag would show it to every user of the machine. */
export function hostsDeployment(file: HostsFile = {}, preSharedKey: string | undefined): HostsFile {
  if (preSharedKey === undefined) return file;
  return { ...file, network: { ...file.network, preSharedKey } };
}

function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`Cannot read ${path}: ${(error as Error).message}.`);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidArgumentError(`Cannot read ${path}: ${(error as Error).message}.`);
  }
}
