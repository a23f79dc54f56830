import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export const pluginFilePattern = /\.[cm]?[jt]s$/;

/**
 * Returns what workers import: a file relative to the directory of this process becomes a URL; a
 * name or a package stays.
 */
export function pluginSpecifier(name: string): string {
  return isPluginPath(name) ? pathToFileURL(resolve(name)).href : name;
}

/** Says whether a plug-in's option names a file by its path. */
export function isPluginPath(name: string): boolean {
  return pluginFilePattern.test(name) && !name.startsWith('file:');
}
