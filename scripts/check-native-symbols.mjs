// Files of one instruction set (*_avx2.cc, *_avx512.cc, *_amx.cc, *_neon.cc) must not define inline
// functions under a name that other files share. The linker keeps one copy of each name; if it
// keeps the AVX-512 copy, the scalar path dies on a processor without AVX-512. A name that mentions
// its instruction set (a namespace, a template argument) is safe.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './prepare.mjs';

const shared = [];
for (const name of readdirSync(join(root, 'packages'))) {
  const objects = join(root, 'packages', name, 'build', 'CMakeFiles');
  if (!existsSync(objects)) continue;
  for (const path of readdirSync(objects, { recursive: true })) {
    const [, source, isa] =
      /\.dir[/](.*_(avx2|avx512|avx512bf16|avx512vnni|amx|neon)\.cc)\.o$/.exec(path) ?? [];
    if (isa === undefined || !existsSync(join(root, 'packages', name, source))) continue;
    for (const symbol of weakSymbols(join(objects, path))) {
      if (!symbol.toLowerCase().includes(isa)) shared.push(`${path}: ${symbol}`);
    }
  }
}
for (const line of shared) console.error(line);
if (shared.length > 0) {
  console.error(
    'These would replace, or be replaced by, copies compiled for other processors. Put them into the namespace MEGASCALE_ISA, ' +
      'or make them static.',
  );
  process.exitCode = 1;
}

function weakSymbols(object) {
  const { status, stdout, error } = spawnSync('nm', ['-C', '--defined-only', object], {
    encoding: 'utf8',
  });
  if (error) {
    console.error('skipped: nm is not installed');
    process.exit(0);
  }
  if (status !== 0) throw new Error(`nm cannot read ${object}`);
  return stdout.split('\n').flatMap((line) => /^[0-9a-f]* [WVu] (.*)$/.exec(line)?.[1] ?? []);
}
