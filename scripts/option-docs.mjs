// Keeps what is written about options equal to their schemas: the tables in READMEs and the JSON
// schema of configuration files. Without arguments it says what differs and exits with 1; `--write`
// writes it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createJiti } from 'jiti';
import prettier from 'prettier';
import { root } from './prepare.mjs';

const packages = join(root, 'packages');
const alias = Object.fromEntries(
  readdirSync(packages).map((folder) => [
    `@megascale/${folder}`,
    join(packages, folder, 'src', 'index.ts'),
  ]),
);
const jiti = createJiti(import.meta.url, { alias });
const cli = (file) => jiti.import(join(packages, 'cli', 'src', 'options', file));
const { llmOptions, serveOptions } = await cli('all-options.ts');
const { boundsText, defaultText, isBoolean } = await cli('option-kind.ts');
const { configJsonSchema } = await cli('config-schema.ts');

const isWriting = process.argv.includes('--write');
let isEqual = true;

await update('packages/cli/config.schema.json', () => JSON.stringify(configJsonSchema()));
await update('packages/engine/README.md', (text) => between(text, engineTable(llmOptions)));
await update('packages/cli/README.md', (text) =>
  between(text, flagTable([...serveOptions, ...llmOptions])),
);
process.exitCode = isEqual ? 0 : 1;

async function update(path, change) {
  const file = join(root, path);
  const before = readFileSync(file, 'utf8');
  const options = { ...(await prettier.resolveConfig(file)), filepath: file };
  const after = await prettier.format(change(before), options);
  if (after === before) return;
  if (isWriting) writeFileSync(file, after);
  else {
    isEqual = false;
    console.error(`${path} differs from the options. Run node scripts/option-docs.mjs --write.`);
  }
}

function between(text, table) {
  const [begin, end] = ['<!-- options: begin -->', '<!-- options: end -->'];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${begin} and ${end} are missing.`);
  return `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`;
}

function engineTable(options) {
  const row = (option) => [`\`${option.name}\``, byDefault(option), allowed(option), help(option)];
  return table(['option', 'default', 'range', 'meaning'], groups(options, row));
}

function flagTable(options) {
  const row = (option) => [`\`${option.flag}\``, byDefault(option), allowed(option), help(option)];
  return table(['flag', 'default', 'range', 'meaning'], groups(options, row));
}

/** Rows of the options, with a row for the title of each group. */
function groups(options, row) {
  const titles = [...new Set(options.map(({ group }) => group))];
  return titles.flatMap((title) => [
    [`**${title}**`, '', '', ''],
    ...options.filter(({ group }) => group === title).map(row),
  ]);
}

function table(head, rows) {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function byDefault({ schema, meta }) {
  return escaped(defaultText(schema, meta) ?? '');
}

function allowed(option) {
  if (isBoolean(option)) return '`true`, `false`';
  const { unit } = option.meta;
  const bounds = boundsText(option.schema);
  return escaped([bounds, unit].filter((part) => part !== undefined).join(' '));
}

function help({ meta }) {
  const example = meta.example === undefined ? '' : `: \`${meta.example}\``;
  return `${escaped(meta.help)}${example}`;
}

function escaped(text) {
  return text.replace(/[|*_<>]/g, (sign) => `\\${sign}`);
}
