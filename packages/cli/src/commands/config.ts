import { Command } from 'commander';
import type { CliWorld } from '../world.js';
import { configJsonSchema } from '../options/config-schema.js';
import { readConfigFile } from '../options/config-file.js';

/** `megascale config`: what a configuration file may say, and whether one says it right. */
export function configCommand(world: CliWorld): Command {
  const schema = new Command('schema')
    .description('Print the JSON schema of configuration files, for editors.')
    .action(() => {
      world.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    });
  const check = new Command('check')
    .description('Check a configuration file, and print it as the engine reads it.')
    .argument('<FILE>', 'YAML or JSON')
    .action((path: string) => {
      const shown = { ...readConfigFile(path) };
      if (shown['apiKey'] !== undefined) shown['apiKey'] = '…';
      world.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
    });
  return new Command('config')
    .description('Check a configuration file, or print the schema of such files.')
    .addCommand(schema)
    .addCommand(check)
    .addHelpText(
      'after',
      `
Examples:
  megascale config schema > megascale.schema.json
  megascale config check megascale.yaml
  megascale serve MODEL --config megascale.yaml`,
    );
}
