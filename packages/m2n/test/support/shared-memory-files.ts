import { readdirSync } from 'node:fs';

/** Of libfabric's provider shm: 'process:domain:endpoint'. */
const endpointFile = /^(\d+):\d+:\d+$/;

/**
 * Files in `/dev/shm` of the endpoints that these processes opened over libfabric's provider shm.
 */
export function endpointFilesOf(...processIds: readonly number[]): string[] {
  return sharedMemoryFiles().filter((name) => {
    const owner = endpointFile.exec(name)?.[1];
    return owner !== undefined && processIds.includes(Number(owner));
  });
}

/** Those of no such endpoint: other tests come and go with theirs meanwhile. */
export function namedSegments(): string[] {
  return sharedMemoryFiles().filter((name) => !endpointFile.test(name));
}

function sharedMemoryFiles(): string[] {
  return process.platform === 'linux' ? readdirSync('/dev/shm') : [];
}
